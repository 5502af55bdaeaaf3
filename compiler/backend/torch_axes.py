"""Axes of emitted tensors: which variables run along them, and where a value lies on one."""

from collections.abc import Iterable
from dataclasses import replace

from mfdsl.compiler.backend.plan import Plan
from mfdsl.compiler.backend.torch_text import ADD, ATOM, Text, number
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.walk import reachable

INDEX_NAMES = "ijklmnuvw"
LEAVES = ("state", "action", "noise", "index", "peer_state", "peer_action")


def axis_name(node: Node) -> str:
    """The name of a variable that runs over all values."""
    if isinstance(node.attr, tuple):
        return f"q_{node.attr[1]}"
    if isinstance(node.attr, int):
        return INDEX_NAMES[node.attr] if node.attr < len(INDEX_NAMES) else "index"
    return str(node.attr)


def axis_order(plan: Plan, roots: Iterable[int]) -> list[int]:
    """Variable leaves under `roots` in the order of their trailing axes: own, indices, members."""
    leaves = [i for i in reachable(plan.nodes, roots) if plan.nodes[i].op in LEAVES]
    return sorted(leaves, key=lambda i: (LEAVES.index(plan.nodes[i].op), _depth(plan.nodes[i]), i))


def _depth(node: Node) -> int:
    if isinstance(node.attr, tuple):
        return int(node.attr[0])
    return node.attr if isinstance(node.attr, int) else 0


def position(plan: Plan, index: int, text: Text, first: int, size: int | None) -> Text:
    """The place on an axis of a value, clipped when nothing says that it lies on the axis."""
    type = plan.type_of(index)
    if text.literal is not None:
        return number(int(text.literal) - first, "int")
    if type.kind == "bool":
        text = replace(text, code=f"{text.at(ATOM)}.long()", level=ATOM)
    if first:
        sign = "-" if first > 0 else "+"
        text = replace(text, code=f"{text.at(ADD)} {sign} {abs(first)}", level=ADD)
    low, high = plan.bounds[index]
    ends = ["min=0"] if size and low < first else []
    ends += [f"max={size - 1}"] if size and high > first + size - 1 else []
    if not ends:
        return text
    return replace(text, code=f"{text.at(ATOM)}.clamp({', '.join(ends)})", level=ATOM)
