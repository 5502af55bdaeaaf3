"""Expressions node by node, their facts, and what the engine says of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, Term, lipschitz
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import NoiseVariable, Player, StateVariable, Variable
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type

BOOLEAN = ("eq", "ne", "lt", "le", "and", "or", "not", "any_over", "all_over")
LIKE_FIRST = ("add", "mul", "neg", "abs", "min", "max", "rem", "pow", "sum_over", "prod_over")


def ints(count: int, first: int = 0) -> Type:
    """The type of `count` integers."""
    return Type(kind="int", lo=first, hi=first + count - 1)


def reals(lo: float | None, hi: float | None) -> Type:
    """The type of an interval."""
    return Type(kind="real", lo=lo, hi=hi)


@dataclass
class Spec:
    """Shorthands on a builder; populations are `mu` with members that have the variables `own`."""

    b: Builder = field(default_factory=Builder)
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    last_time: int = 9

    def r(self, value: float | str | Fraction) -> int:
        """A real constant."""
        return self.b.const(Fraction(value), REAL)

    def i(self, value: int) -> int:
        """An integer constant."""
        return self.b.const(value, INT)

    def op(self, name: str, *args: int, attr: object = None, type: Type | None = None) -> int:
        """The node of an operator, of the type that it has on these arguments."""
        if type is None:
            type = REAL
            if name in BOOLEAN:
                type = BOOL
            elif name in ("ind", "floor", "ceil", "round"):
                type = INT
            elif name in LIKE_FIRST or name in ("min_over", "max_over"):
                type = REAL if self.b.type_of(args[0]).kind == "real" else INT
            elif name == "if":
                type = self.b.type_of(args[1])
        return self.b.add(name, args, attr, type)  # type: ignore[arg-type]

    def sub(self, a: int, b: int) -> int:
        """a - b."""
        return self.op("add", a, self.op("neg", b))

    def own(self, name: str, type: Type, kind: str = "state") -> int:
        """An own variable."""
        return self.b.add(kind, (), name, type)

    def peer(self, name: str, type: Type, depth: int = 0, kind: str = "state") -> int:
        """A variable of the member bound at a depth."""
        return self.b.add(f"peer_{kind}", (), (depth, name), type)

    def mean(self, body: int, depth: int = 0, population: str = "mu") -> int:
        """The mean over a population."""
        return self.op("mean", body, attr=(depth, population))

    def mean_if(self, body: int, condition: int, depth: int = 0, population: str = "mu") -> int:
        """The conditional mean over a population."""
        return self.op("mean_if", body, condition, attr=(depth, population))

    def ind(self, condition: int) -> int:
        """1 where a condition holds, else 0."""
        return self.op("real", self.op("ind", condition))

    def mass(
        self, name: str, type: Type, value: int, depth: int = 0, population: str = "mu"
    ) -> int:
        """The mass of members with one value of a variable."""
        peer = self.peer(name, type, depth)
        node = self.b.const(value, INT) if type.kind == "int" else self.b.const(value, type)
        return self.mean(self.ind(self.op("eq", peer, node)), depth, population)

    def renamed_kinds(self, node: int, turn: np.ndarray) -> int:
        """The same expression with `turn[x]` in the place of the kind x of each member."""
        copies: dict[int, int] = {}
        names = self.b.array(turn.shape, [float(k) for k in turn], kind="int")
        for i in range(node + 1):
            here = self.b.nodes[i]
            args = tuple(copies.get(a, a) for a in here.args)
            type_ = self.b.types[here.type]
            if here.op == "peer_state" and here.attr[1] == "x":  # type: ignore[index]
                copies[i] = self.b.add("element", (names, i), None, INT)
            elif args != here.args:
                copies[i] = self.b.add(here.op, args, here.attr, type_)
        return copies.get(node, node)

    def facts(self) -> Facts:
        """The facts of what was built so far."""
        arrays = [np.array(a.values).reshape(a.dims) for a in self.b.arrays]
        return Facts(
            list(self.b.nodes), list(self.b.types), self.parameters, arrays, {}, self.last_time
        )

    def in_law(
        self,
        node: int,
        population: str = "mu",
        budget: Budget | None = None,
        most: float | None = None,
    ) -> Certificate:
        """The certificate of an expression in the law of a population."""
        source = Source(population, "law", player(population))
        return self._asked(source, Subject("f", (Term("f", node),)), budget, most)

    def in_variables(
        self, node: int, leaves: Sequence[int], budget: Budget | None = None
    ) -> Certificate:
        """The certificate of an expression in own or common variables."""
        source = Source("x", "variables", None, tuple(leaves))
        return self._asked(source, Subject("f", (Term("f", node),)), budget, None)

    def kernel_in_law(
        self, masses: Sequence[int], state: Type, budget: Budget | None = None
    ) -> Certificate:
        """The certificate of a draw of the next state with these masses."""
        noise = Type(kind="int", lo=0, hi=len(masses) - 1)
        leaf = self.b.add("noise", (), "k", noise)
        density = masses[-1]
        for value in reversed(range(len(masses) - 1)):
            density = self.op("if", self.op("eq", leaf, self.i(value)), masses[value], density)
        member = player(
            "mu",
            states=(
                StateVariable(
                    name="x", type=self.b.type_index(state), doc="", initial=0, next=leaf
                ),
            ),
            noises=(
                NoiseVariable(name="k", type=self.b.type_index(noise), doc="", density=density),
            ),
        )
        source = Source("mu", "law", member)
        return self._asked(source, Subject("dynamics", (), member), budget, None)

    def _asked(
        self, source: Source, subject: Subject, budget: Budget | None, most: float | None
    ) -> Certificate:
        question = Question(self.facts(), subject, source, budget or Budget())
        return lipschitz(question, most)


def player(name: str, **parts: tuple[Variable, ...]) -> Player:
    """A population with these parts."""
    empty = dict.fromkeys(
        "states traits actions noises draws rewards lets observe observes_law".split(), ()
    )
    whole = {"family": None, "index": None, "handle": None, "legal": None, "agents": None}
    whole |= {"order": 0, "doc": "", **empty, **parts}
    return Player(kind="population", name=name, **whole)  # type: ignore[arg-type]
