"""Copies expressions of one model into another, written out in scalars, with leaves replaced.

Arrays become object arrays of scalar nodes, so that only constant arrays and array parameters
are left, and only inside `element`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.interpret import values_of
from mfdsl.compiler.ir.model import Attribute, Model, Node
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import MEMBERS, REDUCTIONS, depth_of
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, entries, shaped

VARIABLES = ("state", "trait", "action", "noise", "draw")
Leaf = Callable[[Node, Type, Frame], Piece | None]
Mean = Callable[[Node, Sequence[int], Frame], int]


class Copier:
    """Copies nodes of `model` into `builder`.

    `leaf` gives what stands for a variable, None for itself; `mean` what stands for a mean, given
    its copied value (and condition); `instead` has what stands for some nodes in the expressions
    of a player.
    """

    def __init__(
        self,
        model: Model,
        builder: Builder,
        leaf: Leaf,
        mean: Mean | None = None,
        instead: Mapping[str, Mapping[int, Piece]] | None = None,
    ) -> None:
        self.model, self.builder = model, builder
        self._leaf, self._mean = leaf, mean or self._same_mean
        self._instead = instead or {}
        self._known: dict[Frame, dict[int, Piece]] = {}

    def scalar(self, root: int, frame: Frame) -> int:
        """The copy of a scalar expression."""
        piece = self.copy(root, frame)
        assert isinstance(piece, int)
        return piece

    def copy(self, root: int, frame: Frame) -> Piece:
        """The copy of an expression that stands in `frame`."""
        if frame not in self._known:
            self._known[frame] = dict(self._instead.get(frame.player, {}))
        known = self._known[frame]
        for index in self._needed(root, known):
            known[index] = self._made(index, known, frame)
        return known[root]

    def op(self, op: str, *args: int, attr: Attribute = None, type: Type = REAL) -> int:
        """A new node."""
        return self.builder.add(op, args, attr, type)

    def _needed(self, root: int, known: dict[int, Piece]) -> list[int]:
        """Nodes under `root` in this frame, arguments first; bodies of binders stay out."""
        seen = {root} - set(known)
        stack = list(seen)
        while stack:
            index = stack.pop()
            for i in self._direct(self.model.nodes[index]):
                if i not in seen and i not in known:
                    seen.add(i)
                    stack.append(i)
        return sorted(seen)

    def _direct(self, node: Node) -> Sequence[int]:
        if node.op == "w2":
            return node.args[1:]
        if node.op in MEMBERS or node.op == "array_over":
            return ()
        if node.op in REDUCTIONS and self.model.types[node.type].dims:
            return ()
        return node.args[1:] if self._looked_up(node) else node.args

    def _looked_up(self, node: Node) -> bool:
        """Whether a node is a scalar entry of a constant array or of an array parameter."""
        if node.op != "element":
            return False
        array = self.model.nodes[node.args[0]]
        whole = len(node.args) - 1 == len(self.model.types[array.type].dims)
        return array.op in ("array", "param") and whole

    def _made(self, index: int, known: dict[int, Piece], frame: Frame) -> Piece:
        node = self.model.nodes[index]
        kind = self.model.types[node.type]
        if node.op in MEMBERS:
            return self._over_members(node, kind, frame)
        if node.op == "array_over" or (node.op in REDUCTIONS and kind.dims):
            return self._written_out(node, kind, frame)
        inner = frame.freed(node.attr) if node.op in REDUCTIONS else frame  # type: ignore[arg-type]
        if inner != frame:
            args = [self.copy(i, inner) for i in node.args]
        else:
            args = [known[i] for i in self._direct(node)]
        if self._looked_up(node):
            whole = self._whole(self.model.nodes[node.args[0]])
            return self.builder.add("element", [whole, *entries_of(args)], None, kind)
        if node.op == "vector":
            return np.stack([np.asarray(a, dtype=object) for a in args])
        if node.op == "element":
            return self._element(args[0], entries_of(args[1:]))
        if node.op in ("dot", "norm"):
            return self._product(args[0], args[-1], root=node.op == "norm")
        if not args:
            return self._copied_leaf(index, node, kind, frame)
        place = self.model.places[index]
        scalar = kind.scalar
        if not any(isinstance(a, np.ndarray) for a in args):
            return self.builder.add(node.op, entries_of(args), node.attr, scalar, place)
        spread = np.broadcast_arrays(*(np.asarray(a, dtype=object) for a in args))
        flat = [
            self.builder.add(node.op, [int(i) for i in row], node.attr, scalar, place)
            for row in zip(*(s.flat for s in spread), strict=True)
        ]
        return shaped(flat, spread[0].shape)

    def _copied_leaf(self, index: int, node: Node, kind: Type, frame: Frame) -> Piece:
        if node.op == "const":
            assert isinstance(node.attr, (int, float))
            return self.builder.const(node.attr, kind, self.model.places[index])
        if node.op == "index":
            assert isinstance(node.attr, int)
            fixed = dict(frame.fixed)
            if node.attr in fixed:
                return self.builder.const(fixed[node.attr], kind)
        if node.op in ("array", "param") and kind.dims:
            whole = self._whole(node)
            flat = [self._entry(whole, kind, at) for at in np.ndindex(*kind.dims)]
            return shaped(flat, kind.dims)
        found = self._leaf(node, kind, frame) if node.op.split("_")[-1] in VARIABLES else None
        if found is not None:
            return found
        if kind.dims:
            raise NoTables(f"`{node.attr}` is an array")
        return self.builder.add(node.op, (), node.attr, kind, self.model.places[index])

    def _whole(self, node: Node) -> int:
        """A constant array or an array parameter as one node."""
        if node.op == "array":
            assert isinstance(node.attr, int)
            array = self.model.arrays[node.attr]
            whole = self.model.types[node.type].kind
            return self.builder.array(array.dims, array.values, None, whole)
        return self.builder.add(node.op, (), node.attr, self.model.types[node.type])

    def _entry(self, whole: int, kind: Type, at: tuple[int, ...]) -> int:
        places = [self.builder.const(i, INT) for i in at]
        return self.builder.add("element", [whole, *places], None, kind.scalar)

    def _element(self, array: Piece, positions: Sequence[int]) -> Piece:
        """An entry or part of an array: known positions pick, others choose."""
        part = np.asarray(array, dtype=object)
        for position in positions:
            value = self.builder.exact(position)
            part = part[int(value)] if value is not None else self._chosen(part, position)
        return part if isinstance(part, np.ndarray) and part.ndim else int(part)

    def _chosen(self, rows: Any, position: int) -> Any:
        """The row at a position that is only known when the game runs."""
        found = rows[len(rows) - 1]
        for k in reversed(range(len(rows) - 1)):
            here = self.op("eq", position, self.builder.const(k, INT), type=BOOL)
            pairs = zip(np.ravel(rows[k]), np.ravel(found), strict=True)
            flat = [self.op("if", here, int(a), int(b), type=self._type(a)) for a, b in pairs]
            found = shaped(flat, np.shape(rows[k]))
        return found

    def _type(self, node: object) -> Type:
        return self.builder.type_of(int(node))  # type: ignore[call-overload]

    def _product(self, a: Piece, b: Piece, *, root: bool) -> int:
        pairs = zip(entries(a), entries(b), strict=True)
        total = self.op("add", *(self.op("mul", x, y) for x, y in pairs))
        return self.op("sqrt", total) if root else total

    def _written_out(self, node: Node, kind: Type, frame: Frame) -> Piece:
        """An array over an index, or a reduction of arrays, value by value."""
        body, leaf = node.args
        assert isinstance(node.attr, int)
        values = values_of(self.model.node_type(leaf))
        rows = [np.asarray(self.copy(body, frame.at(node.attr, v)), dtype=object) for v in values]
        if node.op == "array_over":
            return np.stack(rows)
        flat_op = {"sum": "add", "prod": "mul", "any": "or", "all": "and"}
        word = node.op.removesuffix("_over")
        flat = [
            self.op(flat_op.get(word, word), *(int(r.flat[k]) for r in rows), type=kind.scalar)
            for k in range(rows[0].size)
        ]
        return shaped(flat, rows[0].shape)

    def _over_members(self, node: Node, kind: Type, frame: Frame) -> Piece:
        assert isinstance(node.attr, tuple)
        inside = frame.inside(depth_of(node), str(node.attr[1]))
        value = self.copy(node.args[0], inside)
        rest = entries_of([self.copy(i, inside) for i in node.args[1:]])
        flat = [self._mean(node, [i, *rest], frame) for i in entries(value)]
        return shaped(flat, kind.dims)

    def _same_mean(self, node: Node, args: Sequence[int], frame: Frame) -> int:
        return self.builder.add(node.op, args, node.attr, REAL)


def entries_of(pieces: Iterable[Piece]) -> list[int]:
    """Pieces that are all scalars."""
    found = []
    for piece in pieces:
        assert isinstance(piece, int)
        found.append(piece)
    return found
