"""Small random games as text: several populations, types, masks, environments, a major."""

from dataclasses import dataclass, field

import numpy as np

TYPES = (
    "bool",
    "Side",
    "Kind",
    "int in -1..1",
    "int in 2..3",
    "int mod 2",
    "int mod 3",
    "room.cell",
)
HEAD = """model made{seed}
horizon {steps}
objective nash
{discount}
enum Side {{ left, right }}
enum Kind {{ red, green, blue }}
grid room {{ map \"\"\"
.#
..
\"\"\" }}
"""
CELLS = ("room[0, 0]", "room[1, 0]", "room[1, 1]")
VALUES = {
    "bool": ("false", "true"),
    "Side": ("left", "right"),
    "Kind": ("red", "green", "blue"),
    "int in -1..1": ("-1", "0", "1"),
    "int in 2..3": ("2", "3"),
    "int mod 2": ("0", "1"),
    "int mod 3": ("0", "1", "2"),
    "room.cell": CELLS,
}


@dataclass
class Cast:
    """Variables of a player by name, with their types."""

    name: str
    states: dict[str, str] = field(default_factory=dict)
    traits: dict[str, str] = field(default_factory=dict)
    actions: dict[str, str] = field(default_factory=dict)
    noises: dict[str, str] = field(default_factory=dict)
    hidden: bool = False


class Writer:
    """One random spec."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.law = self.chance(0.85)  # whether anything reads the law
        self.steps = int(self.rng.integers(1, 4))
        kind = self.pick(("several", "several", "environment", "environment", "trait", "major"))
        self.groups = [self.population(k) for k in range(self.count(kind))]
        self.sky: Cast | None = None
        self.guard: Cast | None = None
        if kind == "environment" or (kind != "trait" and self.chance(0.3)):
            self.sky = Cast("sky", {"z": self.type(), "w": self.type()})
            if self.chance(0.6):
                del self.sky.states["w"]
            self.sky.noises = {"gale": self.type()} if self.chance(0.7) else {}
        if kind == "major":
            self.guard = Cast("guard", {"z": self.type()}, actions={"rule": self.type()})
        if self.sky or self.guard:
            self.steps = min(self.steps, 2)
        if kind == "trait":
            self.groups[0].traits = {"k": self.type()}
            self.groups[0].hidden = self.chance(0.6)

    def count(self, kind: str) -> int:
        return int(self.rng.integers(2, 4)) if kind == "several" else int(self.rng.integers(1, 3))

    def population(self, place: int) -> Cast:
        states = {"x": self.type()} | ({"y": self.type()} if self.chance(0.25) else {})
        if "y" in states and self.chance(0.5):
            states = dict(reversed(states.items()))
        return Cast(
            "abc"[place],
            states,
            actions={self.pick(("go", "x_go")): self.type()},
            noises={"e": self.type()} if self.chance(0.4) else {},
        )

    def text(self) -> str:
        """The spec."""
        discount = "discount 0.9" if self.chance(0.3) else ""
        parts = [HEAD.format(seed=self.seed, steps=self.steps, discount=discount)]
        if self.sky:
            parts.append(self.environment(self.sky))
        if self.guard:
            parts.append(self.major(self.guard))
        return "\n".join([*parts, *(self.group(g) for g in self.groups)])

    def environment(self, sky: Cast) -> str:
        lines = ["environment sky {"]
        before: list[str] = []
        random = bool(sky.noises) and self.chance(0.5)
        for name, kind in sky.states.items():
            lines.append(f"  state {name} : {kind} {self.start(kind, before, random)}")
            before += self.conditions(name, kind)
        for name, kind in sky.noises.items():
            law = self.law and self.chance(0.4)
            lines.append(f"  noise {name} : {kind} ~ {self.mix(kind, before, law=law, sharp=True)}")
        noisy = before + [c for n, k in sky.noises.items() for c in self.conditions(n, k)]
        if self.guard:
            noisy += self.conditions("guard.rule", self.guard.actions["rule"])
        for name, kind in sky.states.items():
            lines.append(f"  {name}' = {self.value(kind, noisy, {name: kind})}")
        return "\n".join([*lines, "}"])

    def major(self, guard: Cast) -> str:
        own = [c for n, k in guard.states.items() for c in self.conditions(n, k)]
        acts = [c for n, k in guard.actions.items() for c in self.conditions(n, k)]
        lines = ["major guard {"]
        lines += [f"  state {n} : {k} {self.start(k, [], True)}" for n, k in guard.states.items()]
        lines += [f"  action {n} : {k}{self.mask(n, k, own)}" for n, k in guard.actions.items()]
        for n, k in guard.states.items():
            lines.append(f"  {n}' ~ {self.mix(k, own + acts + self.around('guard'), law=self.law)}")
        lines.append(f"  reward r = {self.number(own + acts + self.around('guard'))}")
        return "\n".join([*lines, "}"])

    def group(self, cast: Cast) -> str:
        lines = [f"population {cast.name} {{"]
        before: list[str] = []
        for n, k in cast.traits.items():
            lines.append(f"  trait {n} : {k} ~ {self.mix(k, [], law=False)}")
            before += self.conditions(n, k)
        common = [
            c for c in self.around("") if "gale" not in c and "rule" not in c and "t " not in c
        ]
        for n, k in cast.states.items():
            lines.append(f"  state {n} : {k} {self.start(k, before + common, True)}")
            if not cast.hidden:
                before += self.conditions(n, k)
        states = [c for n, k in cast.states.items() for c in self.conditions(n, k)]
        for n, k in cast.actions.items():
            lines.append(f"  action {n} : {k}{self.mask(n, k, states)}")
        traits = [c for n, k in cast.traits.items() for c in self.conditions(n, k)]
        own = states + traits + self.around("")
        acts = [c for n, k in cast.actions.items() for c in self.conditions(n, k)]
        for n, k in cast.noises.items():
            quiet = [c for c in own + acts if "gale" not in c]
            lines.append(f"  noise {n} : {k} ~ {self.mix(k, quiet, law=self.law)}")
        everything = own + acts + [c for n, k in cast.noises.items() for c in self.conditions(n, k)]
        lines.append(f"  let near = {self.number(everything, cast)}")
        same = {**cast.states, **cast.actions}
        for n, k in cast.states.items():
            if self.chance(0.6):
                lines.append(f"  {n}' ~ {self.mix(k, everything, law=self.law, me=cast)}")
            else:
                lines.append(f"  {n}' = {self.value(k, everything, same)}")
        lines.append(f"  reward r = {self.number(everything, cast)} + near")
        if self.chance(0.5):
            lines.append(f"  cost c = {self.number(everything, cast)}")
        if self.chance(0.5):
            end = states + traits + [c for c in common]
            lines.append(f"  final reward end = {self.number(end, cast, actions=False)}")
        if cast.traits:
            shown = [*cast.states, "t", *([] if cast.hidden else cast.traits)]
            lines.append(f"  observe {', '.join(shown)}")
        return "\n".join([*lines, "}"])

    def around(self, reader: str) -> list[str]:
        """Conditions on time, the environment and the major."""
        found = ["t == 1", "t < 1"]
        if self.sky:
            found += [c for n, k in self.sky.states.items() for c in self.conditions(f"sky.{n}", k)]
            found += [c for n, k in self.sky.noises.items() for c in self.conditions(f"sky.{n}", k)]
        if self.guard and reader != "guard":
            variables = {**self.guard.states, **self.guard.actions}
            found += [c for n, k in variables.items() for c in self.conditions(f"guard.{n}", k)]
        return found

    def conditions(self, name: str, kind: str) -> list[str]:
        if kind == "bool":
            return [name, f"not {name}"]
        found = [f"{name} == {v}" for v in VALUES[kind]]
        return found + ([f"{name} > {VALUES[kind][0]}"] if kind.startswith("int in") else [])

    def start(self, kind: str, before: list[str], random: bool) -> str:
        if not random or self.chance(0.2):
            return f"= {self.pick(VALUES[kind])}"
        return f"~ {self.mix(kind, before, law=False)}"

    def mask(self, name: str, kind: str, states: list[str]) -> str:
        if self.chance(0.6):
            return ""
        allowed = self.pick(VALUES[kind])
        value = f"{name} == {allowed}" if kind != "bool" else self.pick((name, f"not {name}"))
        return f" where {value} or {self.pick(states)}"

    def mix(
        self,
        kind: str,
        conditions: list[str],
        *,
        law: bool,
        sharp: bool = False,
        me: Cast | None = None,
    ) -> str:
        """A law over a type."""
        first, second = self.pick(VALUES[kind]), self.pick(VALUES[kind])
        weight = self.weight(conditions, law, me)
        if sharp and self.chance(0.4):
            when = self.pick([*conditions, "t == 1"])
            weight = f"if {when} then {self.weight(conditions, law, me)} else 0"
        if self.chance(0.3) and len(VALUES[kind]) > 2:
            return f"mix {{ 0.5 * ({weight}) -> {first}, 0.25 -> {second}, else -> uniform }}"
        return f"mix {{ {weight} -> {first}, else -> {second} }}"

    def weight(self, conditions: list[str], law: bool, me: Cast | None = None) -> str:
        parts = [f"{self.rng.uniform(0.1, 0.3):.2f}"]
        if conditions:
            parts.append(f"0.3 * ind({self.pick(conditions)})")
        if law and self.chance(0.7):
            parts.append(f"0.4 * {self.probability(me)}")
        return " + ".join(parts)

    def probability(self, me: Cast | None = None, actions: bool = True) -> str:
        there = self.groups[int(self.rng.integers(len(self.groups)))]
        bound = {**there.states, **there.traits, **(there.actions if actions else {})}
        inside = [c for n, k in bound.items() for c in self.conditions(f"q.{n}", k)]
        body = self.pick(inside)
        if me is not None and self.chance(0.3):
            own = self.pick([c for n, k in me.states.items() for c in self.conditions(n, k)])
            body = f"{body} and {own}"
        where = f"others({there.name})" if me is there and self.chance(0.3) else there.name
        if self.chance(0.3):
            given = self.pick(inside)
            there_is = f"prob({given} for q in {where})"
            inner = f"prob({body} for q in {where} if {given})"
            return f"(if {there_is} > 0 then {inner} else 0.5)"
        if self.chance(0.2):
            other = self.pick(inside).replace("q.", "u.")
            nested = f"prob({other} for u in {there.name})"
            return f"mean(ind({body}) * (1 - {nested}) for q in {where})"
        return f"prob({body} for q in {where})"

    def number(self, conditions: list[str], me: Cast | None = None, actions: bool = True) -> str:
        parts = [f"{self.rng.uniform(-1, 1):.2f} * ind({self.pick(conditions)})" for _ in range(2)]
        if self.law:
            for _ in range(int(self.rng.integers(0, 3))):
                factor = f" * ind({self.pick(conditions)})" if self.chance(0.5) else ""
                parts.append(
                    f"{self.rng.uniform(-1, 1):.2f} * {self.probability(me, actions)}{factor}"
                )
        if me is not None and self.chance(0.3):
            ints = [n for n, k in me.states.items() if k.startswith("int")]
            parts += [f"0.5 * {self.pick(ints)}"] if ints else []
        return " + ".join(parts)

    def value(self, kind: str, conditions: list[str], same: dict[str, str]) -> str:
        """A value of a type."""
        usable = [n for n, k in same.items() if k == kind] or list(VALUES[kind])
        if kind.startswith("int") and self.chance(0.4):
            named = [n for n, k in same.items() if k == kind]
            if named:
                moved = f"{self.pick(named)} + ind({self.pick(conditions)})"
                return f"clip({moved})" if kind.startswith("int in") else moved
        return f"if {self.pick(conditions)} then {self.pick(VALUES[kind])} else {self.pick(usable)}"

    def type(self) -> str:
        return self.pick(TYPES)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, options: tuple[str, ...] | list[str]) -> str:
        return options[int(self.rng.integers(len(options)))]
