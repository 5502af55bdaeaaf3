"""Draws with few outcomes as the number of the outcome, so that tables have a column for each.

`x' ~ dither(z)` is one of two of a hundred values, and a table over values would be nearly empty.
A law that compares what is drawn with values, as `if x' == v then w else ...`, is read as outcomes
v with weights w; the game is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Node, NoiseVariable
from mfdsl.compiler.ir.types import BOOL, INT, Type
from mfdsl.compiler.ir.walk import LAW, given, reachable
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame
from mfdsl.compiler.tabular.points import positions
from mfdsl.compiler.tabular.rebuild import copied, rebuilt, retyped

LARGE = 1 << 18  # entries of a table from which on successors may read the law


@dataclass(frozen=True)
class Outcome:
    """What is drawn with a weight, both nodes of the copy."""

    value: int
    weight: int


def with_listed_outcomes(model: Model) -> Model:
    """A tabular model in which draws with fewer outcomes than values are numbers of outcomes."""
    return _Listing(model).model()


def as_large_tables(model: Model) -> Model:
    """The same where tables are large; smaller ones stay as they are written."""
    return with_listed_outcomes(model) if _entries(model) > LARGE else model


def _entries(model: Model) -> int:
    only = model.population
    groups = (only.states, only.actions, only.noises)
    return prod(model.types[v.type].size for group in groups for v in group)


class _Listing:
    """The copy of a model with numbers of outcomes in the place of some noises."""

    def __init__(self, model: Model) -> None:
        self.original, self.only = model, model.population
        self.builder = Builder()
        self.values: dict[str, int] = {}
        self.frame = Frame(self.only.name)
        self.copier = Copier(model, self.builder, self._leaf)

    def model(self) -> Model:
        """The copy; the model itself where no noise is worth it."""
        noises = [found for n in self.only.noises for found in self._noises(n)]
        if not self.values:
            return self.original
        rest = self.only.model_copy(update={"noises": ()})
        same = copied(self.original, rest, self.copier)
        player = same.model_copy(update={"noises": tuple(noises)})
        return rebuilt(self.original, self.builder, [player])

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> int | None:
        """The value that stands for a noise."""
        return self.values.get(str(node.attr)) if node.op == "noise" else None

    def _noises(self, noise: NoiseVariable) -> list[NoiseVariable]:
        """A noise, or the number of its outcome; nothing where there is only one."""
        found = self._outcomes(noise)
        if found is None:
            density = self.copier.scalar(given(noise.density), self.frame)
            same = retyped(self.original, self.builder, noise)
            return [same.model_copy(update={"density": density})]
        kind = self.original.types[noise.type]
        inside = [self._inside(outcome.value, kind) for outcome in found]
        if len(found) == 1 and self.builder.exact(found[0].weight) == 1:
            self.values[noise.name] = inside[0]
            return []
        which = positions(len(found))
        leaf = self.builder.add("noise", (), noise.name, which)
        self.values[noise.name] = self._picked(leaf, inside)
        density = self._picked(leaf, [outcome.weight for outcome in found])
        changes = {"type": self.builder.type_index(which), "density": density}
        return [noise.model_copy(update=changes)]

    def _inside(self, value: int, kind: Type) -> int:
        """A value that stays in its domain where its weight is 0, too."""
        if kind.kind != "int" or self.builder.exact(value) is not None:
            return value
        last = kind.first + kind.size - 1
        low = self.builder.add("max", (value, self.builder.const(kind.first, INT)), None, INT)
        return self.builder.add("min", (low, self.builder.const(last, INT)), None, INT)

    def _picked(self, leaf: int, nodes: Sequence[int]) -> int:
        """The node whose position is the leaf."""
        found = nodes[-1]
        for k in reversed(range(len(nodes) - 1)):
            here = self.builder.add("eq", (leaf, self.builder.const(k, INT)), None, BOOL)
            kind = self.builder.type_of(nodes[k])
            found = self.builder.add("if", (here, nodes[k], found), None, kind)
        return found

    def _outcomes(self, noise: NoiseVariable) -> list[Outcome] | None:
        """The outcomes of a noise, None where they are not few, or its law has other forms."""
        size, model = self.original.types[noise.type].size, self.original
        density = given(noise.density)
        below = reachable(model.nodes, [density])
        touched = {i for i in below if _is_leaf(model.nodes[i], noise.name)}
        for i in below:
            if any(a in touched for a in model.nodes[i].args):
                touched.add(i)
        reading = _Reading(model, self.builder, self.copier, self.frame, frozenset(touched))
        found = self._gathered(reading.outcomes(density) or [])
        if not found or len(found) >= size:
            return None
        return found if self._suits(found, size) else None

    def _gathered(self, found: Sequence[Outcome]) -> list[Outcome]:
        """Outcomes of the same value as one."""
        weights: dict[int, list[int]] = {}
        for outcome in found:
            weights.setdefault(outcome.value, []).append(outcome.weight)
        return [
            Outcome(value, self.builder.add("add", sorted(each))) for value, each in weights.items()
        ]

    def _suits(self, found: Sequence[Outcome], size: int) -> bool:
        """Whether tables get better: successors that move with the law are made again and again."""
        below = reachable(self.builder.nodes, [outcome.value for outcome in found])
        if not any(self.builder.nodes[i].op in LAW for i in below):
            return True
        finite = self.original.horizon.kind != "stationary"
        return finite and 2 * len(found) <= size and _entries(self.original) > LARGE


def _is_leaf(node: Node, name: str) -> bool:
    return node.op == "noise" and node.attr == name


@dataclass(frozen=True)
class _Reading:
    """Reads the density of a noise, whose nodes `touched` depend on what is drawn."""

    model: Model
    builder: Builder
    copier: Copier
    frame: Frame
    touched: frozenset[int]

    def outcomes(self, root: int) -> list[Outcome] | None:
        """The outcomes whose weights add up to a density; None where it has another form."""
        node = self.model.nodes[root]
        if root not in self.touched:
            return [] if self.builder.exact(self._copy(root)) == 0 else None
        if node.op == "real":
            return self.outcomes(node.args[0])
        if node.op == "ind":
            value = self._compared(node.args[0])
            return None if value is None else [Outcome(value, self.builder.const(1))]
        if node.op == "mul":
            return self._scaled(node.args)
        if node.op == "add":
            parts = [self.outcomes(a) for a in node.args]
            return None if None in parts else [o for part in parts if part for o in part]
        return self._branches(*node.args) if node.op == "if" else None

    def _scaled(self, args: Sequence[int]) -> list[Outcome] | None:
        drawn = [a for a in args if a in self.touched]
        found = self.outcomes(drawn[0]) if len(drawn) == 1 else None
        if found is None:
            return None
        factors = [self._copy(a) for a in args if a not in self.touched]
        return [self._times(outcome, *factors) for outcome in found]

    def _branches(self, condition: int, yes: int, no: int) -> list[Outcome] | None:
        if condition not in self.touched:
            both = self.outcomes(yes), self.outcomes(no)
            return None if None in both else self._either(self._copy(condition), *both)  # type: ignore[arg-type]
        value, rest = self._compared(condition), self.outcomes(no)
        if value is None or rest is None or yes in self.touched:
            return None
        others = [o if self._differ(o.value, value) else self._without(o, value) for o in rest]
        return [Outcome(value, self._copy(yes)), *others]

    def _either(self, here: int, yes: list[Outcome], no: list[Outcome]) -> list[Outcome]:
        """The outcomes of two branches side by side; those that one has more have weight 0.

        Where the law chooses the branch and no value, all are listed: values stay what they are.
        """
        zero, size = self.builder.const(0), max(len(yes), len(no))
        values = [o.value for o in (*yes, *no)]
        if self._reads_law([here]) and not self._reads_law(values):
            first = [replace(o, weight=self._if(here, o.weight, zero)) for o in yes]
            return [*first, *(replace(o, weight=self._if(here, zero, o.weight)) for o in no)]
        yes = yes or [replace(o, weight=zero) for o in no]
        no = no or [replace(o, weight=zero) for o in yes]
        yes = yes + [Outcome(yes[0].value, zero)] * (size - len(yes))
        no = no + [Outcome(no[0].value, zero)] * (size - len(no))
        return [
            Outcome(self._if(here, a.value, b.value), self._if(here, a.weight, b.weight))
            for a, b in zip(yes, no, strict=True)
        ]

    def _reads_law(self, roots: Sequence[int]) -> bool:
        below = reachable(self.builder.nodes, roots)
        return any(self.builder.nodes[i].op in LAW for i in below)

    def _if(self, here: int, yes: int, no: int) -> int:
        return self.builder.add("if", (here, yes, no), None, self.builder.type_of(yes))

    def _without(self, outcome: Outcome, value: int) -> Outcome:
        """An outcome that counts only where it is another value."""
        same = self.builder.add("eq", sorted((outcome.value, value)), None, BOOL)
        zero = self.builder.const(0)
        return replace(outcome, weight=self._if(same, zero, outcome.weight))

    def _differ(self, a: int, b: int) -> bool:
        """Whether two values differ for certain: two numbers, or one and the one next to it."""
        one, other = self.builder.exact(a), self.builder.exact(b)
        if one is not None and other is not None:
            return one != other
        return any(self._is_next(x, y) for x, y in ((a, b), (b, a)))

    def _is_next(self, a: int, b: int) -> bool:
        node = self.builder.nodes[a]
        rest = [i for i in node.args if i != b]
        known = self.builder.exact(rest[0]) if len(rest) == 1 else None
        return node.op == "add" and len(node.args) == 2 and known not in (None, 0)

    def _compared(self, condition: int) -> int | None:
        """The value that what is drawn is compared with."""
        node = self.model.nodes[condition]
        if node.op != "eq":
            return None
        values = [a for a in node.args if a not in self.touched]
        leaf = [a for a in node.args if a in self.touched]
        if len(values) != 1 or len(leaf) != 1 or self.model.nodes[leaf[0]].op != "noise":
            return None
        return self._copy(values[0])

    def _times(self, outcome: Outcome, *factors: int) -> Outcome:
        parts = sorted((*factors, outcome.weight))
        return replace(outcome, weight=self.builder.add("mul", parts))

    def _copy(self, root: int) -> int:
        return self.copier.scalar(root, self.frame)
