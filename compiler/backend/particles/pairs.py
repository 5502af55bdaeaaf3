"""Sums over pairs of agents: a function for a block of members, and its call block by block."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from mfdsl.compiler.backend.names import local_names, unique
from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.backend.particles.axes import OWN, is_agents, peer_axis, place, renamed
from mfdsl.compiler.backend.particles.module import Module
from mfdsl.compiler.backend.particles.own import masked, on_diagonal, written_over
from mfdsl.compiler.backend.particles.scope import Scope, used_lines
from mfdsl.compiler.backend.torch_text import ATOM, COMPARE, Text, call, signature, words
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
    """The text of a `pairs` node, computed with those over the same pairs that could stand here."""
    if index not in scope.together:
        others = (i for i in scope.uses if i not in scope.known and i != index)
        group = [index, *sorted(i for i in others if _joins(scope, index, i))]
        scope.together.update(zip(group, _texts(scope, group), strict=True))
    return scope.together[index]


def _joins(scope: Scope, index: int, other: int) -> bool:
    """Whether two nodes are sums over the same pairs, a number for each agent, ready to compute."""
    arena = scope.module.rewriter.arena
    here, there, facts = arena.node(index), arena.node(other), arena.facts(index)
    if there.op != "pairs" or here.attr != there.attr or other in scope.twins:
        return False
    return (
        _attributes(arena, index)[2] == "sum"
        and arena.type_of(index) == arena.type_of(other)
        and not arena.type_of(index).dims
        and facts == arena.facts(other)
        and facts.owner is not None
        and not facts.peers | facts.indices
        and all(i in scope.known for i in frontier(scope.module, other))
    )


def _texts(scope: Scope, together: Sequence[int]) -> list[Text]:
    """The texts of `pairs` nodes that one function computes, which is added to the module."""
    arena = scope.module.rewriter.arena
    index = together[0]
    depth, population, how, others = _attributes(arena, index)
    axis = peer_axis(depth)
    inner = Scope(scope.module, scope.agents, pair_text, frontier, taken=local_names())
    outside, blocks = _arguments(scope, inner, together, axis)
    weights = _weights(scope, inner, together, depth)
    readers = [scope.agents[population]] if weights else []
    blocks += weights
    name = "_" + unique(arena.names.get(index, f"{how}_over_pairs"), scope.module.taken)
    texts = inner.emit([arena.node(i).args[0] for i in together], lazy=others)
    first = ""
    if others:
        kind = arena.type_of(index).kind
        if on_diagonal(texts, axis):
            scope.module.helpers |= {"_but_own", "_numbered"}
            first = unique("first", inner.taken)
            texts = [written_over(text, axis, how, kind, first) for text in texts]
        else:
            code = scope.numbers(population)
            outside.append(Argument(unique("agent", inner.taken), code, (OWN,)))
            blocks.append(Argument(unique("q_agent", inner.taken), code, (axis,)))
            code = f"{outside[-1].local}[:, :, None] != {blocks[-1].local}[:, None]"
            mask = inner.assign("other", Text(code, COMPARE, (OWN, axis)))
            texts = [masked(text, mask, how, kind) for text in texts]
    results = [f"{text.at(ATOM)}.{REDUCE[how]}({place(text, axis)})" for text in texts]
    if len(results) > 1:
        scope.module.helpers.add("_stack")
        results = [call("_stack", *results, "axis=0")]
    body = used_lines([*inner.lines, f"return {results[0]}"])
    shared = ["p: Params"] if "p" in words(body) else []
    arguments = [*shared, *(f"{a.local}: Tensor" for a in (*outside, *blocks))]
    arguments += [f"{first}: int"] if first else []
    lines = [signature(name, arguments, "Tensor"), f'"""{_doc(how, len(together))}"""', *body]
    scope.module.blocks.append("\n    ".join(lines) + "\n")
    width = max(_width(arena, i) for i in together)
    split = "_numbered" if first else "_blocks"
    code = _called(scope, name, bool(shared), outside, blocks, readers, how, width, split)
    if others and how != "sum":
        scope.module.helpers.add("_unless_alone")
        code = call("_unless_alone", code, scope.agents[population])
    if len(together) > 1:
        return scope.unpacked(together, code, (OWN,))
    return [Text(code, ATOM, tuple(a for a in texts[0].axes if a != axis))]


def _attributes(arena: Arena, index: int) -> tuple[int, str, str, bool]:
    """Depth, population, reduction, and whether an agent is left out of its own sum."""
    attr = arena.node(index).attr
    assert isinstance(attr, tuple)
    return int(attr[0]), str(attr[1]), str(attr[2]), bool(attr[3])


def _doc(how: str, count: int) -> str:
    return DOCS[how] if count == 1 else f"{count} sums over a block of members, [{count}, B, N]."


def _arguments(
    scope: Scope, inner: Scope, together: Sequence[int], axis: int
) -> tuple[list[Argument], list[Argument]]:
    """What the function takes: tensors from outside, and those of a block of members."""
    arena = scope.module.rewriter.arena
    found = [_inputs(arena, i) for i in together]
    members = sorted({i for some, _ in found for i in some})
    fixed = sorted({i for _, some in found for i in some})
    outside = [_handed(scope, inner, i, i, "") for i in fixed]
    blocks = [_handed(scope, inner, i, arena.node(i).args[0], "q_", axis) for i in members]
    return [a for a in outside if a], [a for a in blocks if a]


def _weights(scope: Scope, inner: Scope, together: Sequence[int], depth: int) -> list[Argument]:
    """Tables of weights on the bound members, a row of a block for each of them."""
    arena = scope.module.rewriter.arena
    found = []
    for i in reachable(arena.builder.nodes, together):
        node = arena.node(i)
        if node.op == "weight" and isinstance(node.attr, tuple) and node.attr[0] == depth:
            local = unique("q_weight", inner.taken)
            inner.known[i] = Text(f"{local}.mT", ATOM, (OWN, peer_axis(depth)))
            code = f"{scope.matrix(int(node.attr[2]))}.mT[None]"
            found.append(Argument(local, code, (OWN, peer_axis(depth))))
    return found


def _called(
    scope: Scope,
    name: str,
    shared: bool,
    outside: Sequence[Argument],
    blocks: Sequence[Argument],
    readers: Sequence[str],
    how: str,
    width: int,
    split: str,
) -> str:
    """The call block by block, blocks made by the helper `split`.

    `readers` are tensors of the agents beside those from outside.
    """
    scope.module.helpers.add("_blocks")
    outer = dict.fromkeys(a.code for a in outside if any(map(is_agents, a.axes)))
    given = [*(["p"] if shared else []), *(a.code for a in outside), "*block"]
    outer |= dict.fromkeys(readers)
    taken = [_tuple([*outer]), _tuple([a.code for a in blocks])]
    loop = f"{call(name, *given)} for block in {call(split, str(width), *taken)}"
    return f"sum({loop})" if how == "sum" else f"torch.stack([{loop}]).{REDUCE[how]}(0)"


def _tuple(codes: Sequence[str]) -> str:
    return f"({', '.join(codes)}{',' if len(codes) == 1 else ''})"


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
