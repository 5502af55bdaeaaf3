"""Who depends on what, as a diagram for Mermaid or Graphviz: players are clusters, reads of a law
are dashed arrows, common noise has a double border.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.typeset.escape import escape_diagram, escape_dot

COMMON = {"common_state": "state", "common_action": "action", "common_noise": "noise"}
PEER = {
    "peer_state": "state",
    "peer_trait": "trait",
    "peer_action": "action",
    "peer_noise": "noise",
}
OWN = ("state", "trait", "action", "noise")


@dataclass(frozen=True, order=True)
class Box:
    """A named thing of a player: a state, trait, action, noise, let or reward."""

    player: str
    name: str
    kind: str


@dataclass(frozen=True, order=True)
class Arrow:
    """`target` reads `source`, through the law of its population when `law` is true."""

    source: Box
    target: Box
    law: bool


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows in the order of the spec."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def diagram(model: Model, focus: str | None = None) -> Diagram:
    """What reads what within one step; with `focus` only what leads to the box of that name.

    `focus` is a name as in `x`, `person.x`, or `reward` for all rewards.

    Raises:
        KeyError: nothing is called `focus`.
    """
    boxes: dict[Box, int | None] = {}
    for player in model.players:
        boxes |= dict(_boxes(player))
    named: dict[int, list[Box]] = {}
    for box, root in boxes.items():
        if box.kind == "let" and root is not None:
            named.setdefault(root, []).append(box)
    arrows = {
        arrow: None
        for box, root in boxes.items()
        if root is not None
        for arrow in _reads(model, box, root, named)
    }
    made = Diagram(tuple(boxes), tuple(arrows))
    return made if focus is None else _focused(made, focus)


def _boxes(player: Player) -> Iterator[tuple[Box, int | None]]:
    for state in player.states:
        yield Box(player.name, state.name, "state"), state.next
    for trait in player.traits:
        yield Box(player.name, trait.name, "trait"), None
    for action in player.actions:
        yield Box(player.name, action.name, "action"), None
    for noise in player.noises:
        yield Box(player.name, noise.name, "noise"), noise.density
    for named in player.lets:
        yield Box(player.name, named.name, "let"), named.node
    for term in player.rewards:
        yield Box(player.name, term.name, "reward"), term.node


def _reads(model: Model, box: Box, root: int, named: dict[int, list[Box]]) -> Iterator[Arrow]:
    """Arrows into a box: its leaves, and the lets on the way, which are not looked into."""
    seen: set[tuple[int, frozenset[str]]] = set()
    stack: list[tuple[int, tuple[str, ...]]] = [(root, ())]
    while stack:
        index, binders = stack.pop()
        node = model.nodes[index]
        lets = [b for b in named.get(index, ()) if b != box]
        mine = [b for b in lets if b.player == box.player] or lets
        if mine and (index != root or box.kind != "let"):
            yield Arrow(mine[0], box, False)
            continue
        key = (index, frozenset(binders))
        if key in seen:
            continue
        seen.add(key)
        if node.op in COMMON and isinstance(node.attr, tuple):
            yield Arrow(Box(str(node.attr[0]), str(node.attr[1]), COMMON[node.op]), box, False)
        elif node.op in OWN:
            source = Box(box.player, str(node.attr), node.op)
            if source != box or box.kind != "noise":  # a density is a function of its own value
                yield Arrow(source, box, False)
        elif node.op in PEER and isinstance(node.attr, tuple):
            population = dict(enumerate(binders)).get(int(node.attr[0]), box.player)
            yield Arrow(Box(population, str(node.attr[1]), PEER[node.op]), box, True)
        inside = binders
        if isinstance(node.attr, tuple) and node.op not in PEER and node.op not in COMMON:
            inside = (
                (*binders[: int(node.attr[0])], str(node.attr[1])) if _binds(node.op) else inside
            )
        stack += [(argument, inside) for argument in reversed(node.args)]


def _binds(op: str) -> bool:
    return op.startswith("mean") or op.endswith(("_members", "_others")) or op == "w2"


def _focused(whole: Diagram, focus: str) -> Diagram:
    wanted = {b for b in whole.boxes if focus in (b.name, f"{b.player}.{b.name}", b.kind)}
    if not wanted:
        raise KeyError(focus)
    growing = True
    while growing:
        more = {a.source for a in whole.arrows if a.target in wanted} - wanted
        wanted |= more
        growing = bool(more)
    return Diagram(
        tuple(b for b in whole.boxes if b in wanted),
        tuple(a for a in whole.arrows if a.target in wanted),
    )


def print_mermaid(model: Model, shown: Diagram) -> str:
    """The diagram for Mermaid."""
    ids = {box: f"n{k}" for k, box in enumerate(shown.boxes)}
    common = {p.name for p in model.players if p.kind == "environment"}
    shapes = {
        "state": ("[", "]"),
        "trait": ("[", "]"),
        "action": ("[/", "/]"),
        "noise": ("([", "])"),
        "let": ("(", ")"),
        "reward": ("{{", "}}"),
    }
    lines = ["flowchart LR"]
    for number, player in enumerate(_clusters(model, shown)):
        lines.append(f'  subgraph p{number}["{escape_diagram(f"{player.kind} {player.name}")}"]')
        for box in shown.boxes:
            if box.player == player.name:
                left, right = shapes[box.kind]
                if box.kind == "noise" and player.name in common:
                    left, right = "(((", ")))"
                lines.append(f'    {ids[box]}{left}"{escape_diagram(box.name)}"{right}')
        lines.append("  end")
    for arrow in shown.arrows:
        if arrow.source in ids and arrow.target in ids:
            mark = "-.->" if arrow.law else "-->"
            lines.append(f"  {ids[arrow.source]} {mark} {ids[arrow.target]}")
    return "\n".join(lines) + "\n"


def print_dot(model: Model, shown: Diagram) -> str:
    """The diagram for Graphviz."""
    ids = {box: f"n{k}" for k, box in enumerate(shown.boxes)}
    shapes = {
        "state": "box",
        "trait": "box",
        "action": "parallelogram",
        "noise": "ellipse",
        "let": "plain",
        "reward": "hexagon",
    }
    common = {p.name for p in model.players if p.kind == "environment"}
    lines = [f'digraph "{escape_dot(model.name)}" {{', "  rankdir=LR;"]
    for number, player in enumerate(_clusters(model, shown)):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f'    label="{escape_dot(f"{player.kind} {player.name}")}";')
        for box in shown.boxes:
            if box.player == player.name:
                double = ", peripheries=2" if box.kind == "noise" and player.name in common else ""
                label = escape_dot(box.name)
                lines.append(f'    {ids[box]} [label="{label}", shape={shapes[box.kind]}{double}];')
        lines.append("  }")
    for arrow in shown.arrows:
        if arrow.source in ids and arrow.target in ids:
            style = " [style=dashed]" if arrow.law else ""
            lines.append(f"  {ids[arrow.source]} -> {ids[arrow.target]}{style};")
    return "\n".join([*lines, "}"]) + "\n"


def _clusters(model: Model, shown: Diagram) -> Sequence[Player]:
    used = {box.player for box in shown.boxes}
    return [player for player in model.players if player.name in used]
