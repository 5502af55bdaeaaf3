"""Random specs of two populations whose variables have the same names and types of their own."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

NUMBERS = ("0.5", "0.25", "1", "2", "0.3", "1.5")
HANDLES = {"a": "mu", "b": "nu"}


@dataclass(frozen=True)
class Own:
    """A variable: its kind, name and type as they are written, and its value as a number."""

    kind: str
    name: str
    type: str

    def number(self, of: str = "") -> str:
        """Its value as a number, of a member if `of` names one."""
        finite = {"bool": f"ind({of}{self.name})", "Three": f"ind({of}{self.name} == Three.P)"}
        return finite.get(self.type, f"{of}{self.name}")


@dataclass
class Writer:
    """Draws the parts of one spec; `variables` by population."""

    source: random.Random
    variables: dict[str, list[Own]] = field(default_factory=dict)

    def text(self) -> str:
        """A spec that may have errors, as of rings without an order."""
        for name in HANDLES:
            kinds = [("state", "x"), ("action", "u")]
            kinds += [("state", "y")] if self.source.random() < 0.4 else []
            self.variables[name] = [Own(k, n, self._type()) for k, n in kinds]
        players = "\n".join(self._player(name) for name in HANDLES)
        return f"model drawn\nobjective nash\nhorizon 2\nenum Three {{ P, Q, R }}\n{players}"

    def _type(self) -> str:
        low = self.source.choice([-1, 0, 1])
        real = f"real in [{low}, {low + self.source.choice([1, 2])}]"
        whole = f"int in {low}..{low + self.source.choice([1, 2])}"
        return self.source.choice(["bool", "Three", whole, real, real])

    def _player(self, name: str) -> str:
        mine = self.variables[name]
        own = [v.number() for v in mine]
        lines = [f"population {name} as {HANDLES[name]} {{"]
        for v in mine:
            lines.append(f"  {v.kind} {v.name} : {v.type}" + " ~ uniform" * (v.kind == "state"))
        if name == "a":
            lines.append(f"  noise e : bool ~ bernoulli({self._chance(own)})")
        else:
            lines.append(f"  noise e : int in 0..2 ~ mix {{ {self._chance(own)} -> 2, else -> 1 }}")
        every = [*own, "ind(e)" if name == "a" else "e"]
        lines += [f"  {v.name}' {self._next(v, own, every)}" for v in mine if v.kind == "state"]
        return "\n".join([*lines, f"  reward r = {self._number(every, 3)}", "}\n"])

    def _next(self, v: Own, own: list[str], every: list[str]) -> str:
        if v.type.startswith("real"):
            return f"= clip({self._number(every, 2)})"
        if v.type == "bool":
            return f"~ bernoulli({self._chance(own)})"
        values = ("Three.P", "Three.Q") if v.type == "Three" else v.type[7:].split("..")
        return f"~ mix {{ {self._chance(own)} -> {values[0]}, else -> {values[1]} }}"

    def _chance(self, leaves: list[str]) -> str:
        return f"min(1, max(0, {self._number(leaves, 2)}))"

    def _mean(self) -> str:
        name = self.source.choice(list(HANDLES))
        parts = [v.number("q.") for v in self.variables[name]]
        if self.source.random() < 0.5:
            return f"mean({self._number(parts, 1, means=False)} for q in {name})"
        return f"prob({self.source.choice(parts)} > {self._constant()} for q in {name})"

    def _constant(self) -> str:
        return self.source.choice(NUMBERS)

    def _number(self, leaves: list[str], depth: int, *, means: bool = True) -> str:
        if depth == 0 or self.source.random() < 0.2:
            mean = means and self.source.random() < 0.5
            return self._mean() if mean else self.source.choice([*leaves, self._constant()])

        def part() -> str:
            return self._number(leaves, depth - 1, means=means)

        rules: list[Callable[[], str]] = [
            lambda: f"({part()} + {part()})",
            lambda: f"({part()} - {part()})",
            lambda: f"({part()} * {part()})",
            lambda: f"max({part()}, {part()})",
            lambda: f"abs({part()})",
            lambda: f"tanh({part()})",
            lambda: f"({part()} / (1 + abs({part()})))",
            lambda: f"(if {part()} > {self._constant()} then {part()} else {part()})",
        ]
        return self.source.choices(rules, [4, 3, 4, 2, 2, 2, 1, 1])[0]()
