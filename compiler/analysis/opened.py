"""Models whose parameters range over intervals: claims about all values of them at once.

A parameter that is opened is a leaf like a common state: it is the same for everybody, nothing
moves it, and it may have any value of its interval. So what is proved of all common states is
proved of all values of the parameters, and what refutes names theirs. Where everything that counts
is affine in a parameter, its ends are enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import overload

from mfdsl.compiler.analysis.assumed import narrowed
from mfdsl.compiler.analysis.asymmetry.degrees import degree
from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.facts import parameter_box
from mfdsl.compiler.ir.model import Model, Node
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import reachable

OWNER = "param"  # a word of the language, so no player has this name

Box = Mapping[str, tuple[float, float]]


def box_of(model: Model) -> dict[str, tuple[float, float]]:
    """The ranges of the parameters that claims over a box are about, as far as `assume` allows.

    Without those that no expression reads: they may have been folded into a type, and then the
    model is that of their bound values.
    """
    read = {str(n.attr) for n in model.nodes if n.op == "param"}
    whole = {name: ends for name, ends in parameter_box(model).items() if name in read}
    return narrowed(model, whole)


def assumptions(box: Box) -> tuple[str, ...]:
    """The intervals of the parameters as certificates state them."""
    return tuple(f"{name} in [{lo:g}, {hi:g}]" for name, (lo, hi) in box.items())


def opened(model: Model, box: Box) -> Model:
    """The model with the scalar real parameters of a box as leaves; nodes keep their numbers."""
    types = list(model.types)
    place = {}
    for name, (lo, hi) in box.items():
        type_ = Type(kind="real", lo=lo, hi=hi)
        if type_ not in types:
            types.append(type_)
        place[name] = types.index(type_)
    nodes = tuple(_leaf_for(node, place) for node in model.nodes)
    return model.model_copy(update={"nodes": nodes, "types": tuple(types)})


def _leaf_for(node: Node, place: Mapping[str, int]) -> Node:
    """A parameter as a leaf where it has a type in `place`, and any other node as it is."""
    if node.op != "param" or node.attr not in place:
        return node
    name = str(node.attr)
    return Node(op="common_state", args=(), attr=(OWNER, name), type=place[name])


class OpenedNodes(Sequence[Node]):
    """Nodes with some parameters as leaves, of the types at the places given; grows as they do."""

    def __init__(self, nodes: Sequence[Node], place: Mapping[str, int]) -> None:
        self._nodes, self._place = nodes, place

    def __len__(self) -> int:
        return len(self._nodes)

    @overload
    def __getitem__(self, index: int) -> Node: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Node]: ...

    def __getitem__(self, index: int | slice) -> Node | Sequence[Node]:
        if isinstance(index, slice):
            return OpenedNodes(self._nodes[index], self._place)
        return _leaf_for(self._nodes[index], self._place)


def is_opened(node: Node) -> bool:
    """Whether a node is a parameter that ranges over an interval."""
    return node.op == "common_state" and isinstance(node.attr, tuple) and node.attr[0] == OWNER


def bound(model: Model, values: Mapping[str, float]) -> Model:
    """The model with other values of some parameters."""
    parameters = tuple(
        p.model_copy(update={"value": values[p.name]}) if p.name in values else p
        for p in model.parameters
    )
    return model.model_copy(update={"parameters": parameters})


def read_of(nodes: Sequence[Node], roots: Sequence[int], box: Box) -> list[str]:
    """The parameters of a box that some expressions read."""
    below = (nodes[i] for i in reachable(nodes, roots))
    read = {str(n.attr) for n in below if n.op == "param"}
    return [name for name in box if name in read]


def is_affine(nodes: Sequence[Node], roots: Sequence[int], name: str) -> bool:
    """Whether expressions are affine in a parameter, all others fixed."""
    return all(
        degree(nodes, root, lambda i: nodes[i].op == "param" and nodes[i].attr == name) <= 1
        for root in roots
    )


def corners(box: Box) -> Iterator[dict[str, float]]:
    """All combinations of ends."""
    for values in product(*((lo, hi) if lo < hi else (lo,) for lo, hi in box.values())):
        yield dict(zip(box, values, strict=True))


def halves(box: Box) -> tuple[Box, Box]:
    """The box cut through the middle of its widest side, relative to nothing but its length."""
    widest = max(box, key=lambda name: box[name][1] - box[name][0])
    lo, hi = box[widest]
    middle = (lo + hi) / 2
    return {**box, widest: (lo, middle)}, {**box, widest: (middle, hi)}


def named(witness: Witness | None, values: Mapping[str, float]) -> Witness | None:
    """A witness with the parameters under their own names."""
    if witness is None:
        return dict(values) or None
    prefix = f"{OWNER}."
    return {**values, **{key.removeprefix(prefix): value for key, value in witness.items()}}
