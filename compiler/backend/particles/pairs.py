"""Sums over pairs of agents: a function for a block of members, and its call block by block."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from mfdsl.compiler.backend.names import local_names, unique
from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.backend.particles.axes import OWN, peer_axis, place, renamed, union
from mfdsl.compiler.backend.particles.module import Module
from mfdsl.compiler.backend.particles.scope import Scope, used_lines
from mfdsl.compiler.backend.torch_text import ATOM, Text, call, lift, signature, words
from mfdsl.compiler.ir.walk import reachable

DOCS = {
    "sum": "Sum over a block of members.",
    "min": "Smallest value in a block of members.",
    "max": "Largest value in a block of members.",
}
REDUCE = {"sum": "sum", "min": "amin", "max": "amax"}


@dataclass(frozen=True)
class Argument:
    """A tensor that the function of a block takes: its name inside, its text outside."""

    local: str
    code: str
    axes: tuple[int, ...]


def frontier(module: Module, index: int) -> Sequence[int]:
    """What a sum over pairs reads from outside: values of members, and what does not vary."""
    arena = module.rewriter.arena
    return _outside(arena, *_inputs(arena, index))


def _outside(arena: Arena, members: Sequence[int], fixed: Sequence[int]) -> Sequence[int]:
    """The values of members as such, and what does not vary."""
    return [*(arena.node(i).args[0] for i in members), *fixed]


def pair_text(scope: Scope, index: int) -> Text:
    """The text of a `pairs` node; its function is added to the module."""
    arena = scope.module.rewriter.arena
    attr = arena.node(index).attr
    assert isinstance(attr, tuple)
    depth, population, how, others = int(attr[0]), str(attr[1]), str(attr[2]), bool(attr[3])
    axis = peer_axis(depth)
    members, fixed = _inputs(arena, index)
    inner = Scope(scope.module, scope.agents, pair_text, frontier, taken=local_names())
    outside = [a for a in (_handed(scope, inner, i, i, "") for i in fixed) if a]
    blocks = [
        a
        for i in members
        if (a := _handed(scope, inner, i, arena.node(i).args[0], "q_", axis)) is not None
    ]
    mask = ""
    if others:
        scope.module.helpers.add("_agents")
        code = f"_agents({scope.agents[population]})"
        outside.append(Argument(unique("agent", inner.taken), code, (OWN,)))
        blocks.append(Argument(unique("q_agent", inner.taken), code, (axis,)))
        mask = f"{outside[-1].local}[:, :, None] != {blocks[-1].local}[:, None]"
    name = "_" + unique(arena.names.get(index, f"{how}_over_pairs"), scope.module.taken)
    (text,) = inner.emit([arena.node(index).args[0]], lazy=others)
    if mask:
        text = _masked(text, Text(mask, 1, (OWN, axis)), how, arena.type_of(index).kind)
    axes = tuple(a for a in text.axes if a != axis)
    result = f"return {text.at(ATOM)}.{REDUCE[how]}({place(text, axis)})"
    body = used_lines([*inner.lines, result])
    shared = ["p: Params"] if "p" in words(body) else []
    arguments = [*shared, *(f"{a.local}: Tensor" for a in (*outside, *blocks))]
    lines = [signature(name, arguments, "Tensor"), f'"""{DOCS[how]}"""', *body]
    scope.module.blocks.append("\n    ".join(lines) + "\n")
    code = _called(scope, name, bool(shared), outside, blocks, how, _width(arena, index))
    if others and how != "sum":
        scope.module.helpers.add("_unless_alone")
        code = call("_unless_alone", code, scope.agents[population])
    return Text(code, ATOM, axes)


def _called(
    scope: Scope,
    name: str,
    shared: bool,
    outside: Sequence[Argument],
    blocks: Sequence[Argument],
    how: str,
    width: int,
) -> str:
    """The call block by block."""
    scope.module.helpers.add("_blocks")
    outer = dict.fromkeys(a.code for a in outside if any(axis < 10_000 for axis in a.axes))
    given = [*(["p"] if shared else []), *(a.code for a in outside), "*block"]
    taken = [_tuple([*outer]), _tuple([a.code for a in blocks])]
    loop = f"{call(name, *given)} for block in {call('_blocks', str(width), *taken)}"
    return f"sum({loop})" if how == "sum" else f"torch.stack([{loop}]).{REDUCE[how]}(0)"


def _tuple(codes: Sequence[str]) -> str:
    return f"({', '.join(codes)}{',' if len(codes) == 1 else ''})"


def _masked(text: Text, mask: Text, how: str, kind: str) -> Text:
    """The value where a member is somebody else."""
    axes = union([text, mask])
    ends = ("torch.inf", "-torch.inf") if kind == "real" else ("2**62", "-(2**62)")
    other = {"sum": "0", "min": ends[0], "max": ends[1]}[how]
    code = call("torch.where", lift(mask, axes).code, lift(text, axes).code, other)
    return Text(code, ATOM, axes)


def _handed(
    scope: Scope, inner: Scope, index: int, source: int, prefix: str, axis: int | None = None
) -> Argument | None:
    """Gives a value from outside a name in the block; numbers stand for themselves."""
    text = scope.known[source]
    if axis is not None:
        text = renamed(text, OWN, axis)
    if text.literal is not None:
        inner.known[index] = text
        return None
    arena = scope.module.rewriter.arena
    word = arena.names.get(source) or text.code.split(".")[-1]
    word = word if word.isidentifier() else "value"
    local = unique(prefix + word.removeprefix("p."), inner.taken)
    inner.known[index] = Text(local, ATOM, text.axes, text.batch)
    return Argument(local, text.code, text.axes)


def _inputs(arena: Arena, index: int) -> tuple[list[int], list[int]]:
    """Nodes below the body that are values of the bound member, and those that do not vary."""
    node = arena.node(index)
    assert isinstance(node.attr, tuple)
    depth = int(node.attr[0])
    members: set[int] = set()
    fixed: set[int] = set()
    stack, seen = [node.args[0]], {node.args[0]}
    while stack:
        i = stack.pop()
        here = arena.node(i)
        if here.op == "peer" and here.attr == depth:
            members.add(i)
        elif not arena.varies(i, depth) and (arena.facts(i).owner or arena.facts(i).peers):
            fixed.add(i)
        elif not arena.varies(i, depth) and here.op != "index" and _plain(arena, i):
            fixed.add(i)
        else:
            inner = _inputs(arena, i) if here.op == "pairs" else None
            for argument in here.args if inner is None else _outside(arena, *inner):
                if argument not in seen:
                    seen.add(argument)
                    stack.append(argument)
    return sorted(members), sorted(fixed)


def _plain(arena: Arena, index: int) -> bool:
    """Whether a value that does not vary has no axis of an index that the body binds."""
    return not arena.facts(index).indices


def _width(arena: Arena, index: int) -> int:
    """How many numbers a pair takes: the values of the indices in the body, and entries."""
    body = reachable(arena.builder.nodes, [arena.node(index).args[0]])
    indices = prod(arena.type_of(i).size for i in body if arena.node(i).op == "index")
    return indices * max(prod(arena.type_of(i).dims) for i in body)
