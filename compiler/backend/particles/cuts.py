"""Where gradients are cut: terms and next states in which a jump depends on something smooth."""

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.backend.particles.context import Context
from mfdsl.compiler.backend.particles.module import Module
from mfdsl.compiler.ir.walk import reachable

JUMPS = {
    **dict.fromkeys(("eq", "ne", "lt", "le"), "a comparison of values with gradients"),
    "sign": "sign jumps at 0",
    "floor": "floor",
    "ceil": "ceil",
    "round": "round",
    "rem": "rem jumps where it wraps",
    "search": "a finite draw",
    "w2": "w2 holds its assignment fixed",
}


def cuts_of(module: Module) -> list[str]:
    """`player.reward name: reason` for each jump, in the order of the spec."""
    arena = module.rewriter.arena
    found: list[str] = []
    for player in module.model.players:
        context = Context("running", player.name)
        roots = [(f"next {v.name}", v.next) for v in player.states if v.next is not None]
        roots += [(f"reward {term.name}", term.node) for term in player.rewards]
        for name, node in roots:
            for reason in _reasons(arena, module.rewriter.whole(node, context)):
                found.append(f"{player.name}.{name}: {reason}")
    return list(dict.fromkeys(found))


def _reasons(arena: Arena, root: int) -> list[str]:
    """Reasons for jumps below a node."""
    nodes = arena.builder.nodes
    smooth: dict[int, bool] = {}
    found: list[str] = []
    for i in reachable(nodes, [root]):
        node = nodes[i]
        below = [smooth[a] for a in node.args]
        if node.op in ("input", "param"):
            smooth[i] = arena.type_of(i).kind == "real" and not _uniform(arena, i)
            continue
        if node.op in JUMPS and any(below):
            drawn = node.op == "le" and _uniform(arena, node.args[1])
            found.append("a finite draw" if drawn else JUMPS[node.op])
        smooth[i] = any(below) and (arena.type_of(i).kind == "real")
    return list(dict.fromkeys(found))


def _uniform(arena: Arena, index: int) -> bool:
    """Whether a node is the uniform of a finite draw."""
    node = arena.node(index)
    return node.op == "input" and index in arena.uniforms
