"""Builder of the node arena: equal expressions become one node, constants fold exactly.

Folding never changes the meaning, only the size of the model: what could overflow, divide by zero
or grow without bound stays a node for the checks that have a place to blame.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mfdsl.compiler.ir.fold import carried, decimal, folded_value, neutral_element
from mfdsl.compiler.ir.model import Array, Attribute, Node, Place
from mfdsl.compiler.ir.types import INT, REAL, Kind, Type

MAX_NODES = 100_000
FLAT = ("add", "mul", "min", "max", "and", "or")


class TooManyNodes(Exception):
    """The expressions of a model grew beyond the limit of their builder."""


@dataclass(frozen=True)
class Arena:
    """The finished tables of a model, ready for `Model(types=..., nodes=..., ...)`."""

    types: tuple[Type, ...]
    nodes: tuple[Node, ...]
    places: tuple[Place | None, ...]
    arrays: tuple[Array, ...]


class Builder:
    """Grows the arena; `add` and `const` give the index of a node, old or new.

    Raises `TooManyNodes` beyond `most` of them; None is no limit.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.nodes: list[Node] = []
        self.types: list[Type] = []
        self.places: list[Place | None] = []
        self.arrays: list[Array] = []
        self._type_index: dict[Type, int] = {}
        self._node_index: dict[tuple[object, ...], int] = {}
        self._exact: dict[int, Fraction] = {}

    def type_index(self, type: Type) -> int:
        """Position of `type` in the table of types; it is appended when new."""
        found = self._type_index.setdefault(type, len(self.types))
        if found == len(self.types):
            self.types.append(type)
        return found

    def type_of(self, node: int) -> Type:
        """The type of a node."""
        return self.types[self.nodes[node].type]

    def exact(self, node: int) -> Fraction | None:
        """The exact value of a constant node, None for every other node."""
        return self._exact.get(node)

    def const(
        self, value: int | float | Fraction, type: Type = REAL, place: Place | None = None
    ) -> int:
        """A constant. Reals carry a float next to them and remember the exact value; that of a
        float is its decimal, if that is short.

        Bounds of real and int types are dropped, so that equal numbers are one node. Raises
        OverflowError when a real is beyond the range of a float.
        """
        short = decimal(value) if isinstance(value, float) else None
        exact = Fraction(value) if short is None else short
        if type.kind == "real":
            return self._intern("const", (), carried(exact), REAL, place, exact)
        if exact.denominator != 1:
            raise ValueError(f"{value} is not a value of {type.kind}")
        kept = INT if type.kind == "int" else type
        return self._intern("const", (), int(exact), kept, place, exact)

    def array(
        self,
        dims: Sequence[int],
        values: Iterable[float],
        place: Place | None = None,
        kind: Kind = "real",
    ) -> int:
        """A constant array of reals (or of integers with kind "int"), flat and row-major."""
        array = Array(dims=tuple(dims), values=tuple(values))
        if array not in self.arrays:
            self.arrays.append(array)
        kept = Type(kind=kind, dims=array.dims)
        return self._intern("array", (), self.arrays.index(array), kept, place, None)

    def add(
        self,
        op: str,
        args: Sequence[int] = (),
        attr: Attribute = None,
        type: Type = REAL,
        place: Place | None = None,
    ) -> int:
        """The node of `op` applied to `args`, folded when that cannot change its value."""
        if op in FLAT:
            args = self._without_constants(op, args, type)
            if len(args) == 1:
                return args[0]
        simpler = self._simpler(op, args)
        if simpler is not None and self.type_of(simpler).dims == type.dims:
            return simpler
        values = [self._exact[i] for i in args if i in self._exact]
        if args and len(values) == len(args):
            value = folded_value(op, values)
            if value is not None and (type.kind == "real" or value.denominator == 1):
                return self.const(value, type, place)
        return self._intern(op, tuple(args), attr, type, place, None)

    def freeze(self) -> Arena:
        """The arena as tuples; the builder can go on growing."""
        return Arena(tuple(self.types), tuple(self.nodes), tuple(self.places), tuple(self.arrays))

    def _simpler(self, op: str, args: Sequence[int]) -> int | None:
        """An argument that already is the value of the whole, or of each of its entries."""
        if op == "if":
            condition = self._exact.get(args[0])
            if condition is not None:
                return args[1] if condition else args[2]
            return args[1] if args[1] == args[2] else None
        if op in ("not", "neg") and self.nodes[args[0]].op == op:
            return self.nodes[args[0]].args[0]
        if op in ("div", "pow") and self._exact.get(args[1]) == 1:
            return args[0]
        return None

    def _without_constants(self, op: str, args: Sequence[int], type: Type) -> Sequence[int]:
        """The arguments with their constants gathered in the first of them, or dropped."""
        if op in ("and", "or", "min", "max"):
            args = list(dict.fromkeys(args))
        constant = [i for i in args if i in self._exact]
        if not constant:
            return args
        value = folded_value(op, [self._exact[i] for i in constant])
        if value is None:
            return args
        others = [i for i in args if i not in self._exact]
        neutral = neutral_element(op)
        if others and value == neutral:
            return others
        if op in ("and", "or") and value != neutral and not type.dims:
            return [self.const(value, type)]
        if len(constant) == 1:
            return args
        first = args.index(constant[0])
        before = [i for i in args[:first] if i not in self._exact]
        return [*before, self.const(value, type), *others[len(before) :]]

    def _intern(
        self,
        op: str,
        args: tuple[int, ...],
        attr: Attribute,
        type: Type,
        place: Place | None,
        exact: Fraction | None,
    ) -> int:
        """The index of this very node; the first place that is known stays."""
        key = (op, args, attr.__class__, attr, exact, self.type_index(type))
        found = self._node_index.setdefault(key, len(self.nodes))
        if found == len(self.nodes):
            if self.most is not None and found >= self.most:
                del self._node_index[key]
                raise TooManyNodes(f"more than {self.most:,} operations")
            kept = self.type_index(type)
            self.nodes.append(Node.model_construct(op=op, args=args, attr=attr, type=kept))
            self.places.append(place)
            if exact is not None:
                self._exact[found] = exact
        elif self.places[found] is None:
            self.places[found] = place
        return found
