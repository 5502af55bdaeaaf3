"""Rewards by stage, as sums of parts: what is paid at every decision, and what is paid at the end.

A statement on laws (monotone, potential) is about each stage alone. Of its reward only the parts
that read a law of a population count, since a part that does not cancels in differences of laws.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mfdsl.compiler.analysis.enclosure import Facts, leaves_of
from mfdsl.compiler.analysis.expected import drawing, expected
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Node, Player
from mfdsl.compiler.ir.types import REAL
from mfdsl.compiler.ir.walk import MEMBERS, reachable

NOISY = ("noise", "draw", "peer_noise", "peer_draw", "common_noise", "common_draw", "weight")


@dataclass(frozen=True)
class Part:
    """A summand of the reward of a population, and the name of the term that it is part of."""

    player: Player
    term: str
    node: int


@dataclass(frozen=True)
class Stage:
    """The parts of the rewards at one kind of stage that read a law, of all populations."""

    name: str
    parts: tuple[Part, ...]


def law_stages(model: Model, copies: Copies) -> tuple[Stage, ...]:
    """The stages at which a law is read: running rewards, final rewards."""
    found = []
    for name, final in (("running", False), ("final", True)):
        parts = [
            Part(player, term.name, node)
            for player in model.populations
            for term in player.rewards
            if term.final == final
            for node in means_of(model, copies, term.node, player)
            if reads_law(copies.facts, node) or draws_from_law(copies.facts, model.players, node)
        ]
        if parts:
            found.append(Stage(name, tuple(parts)))
    return tuple(found)


def means_of(model: Model, copies: Copies, node: int, player: Player) -> list[int]:
    """The parts of a reward as means over their noises, as far as these can be written."""
    return [
        part
        for summand in summands(copies, node)
        for part in summands(copies, mean_of(model, copies, summand, player))
    ]


def mean_of(model: Model, copies: Copies, node: int, player: Player) -> int:
    """The mean of a number over its noises; the number itself where that cannot be written."""

    def reads(here: int) -> bool:
        return reads_law(copies.facts, here)

    try:
        return expected(copies, drawing(model.players, player), node, reads)
    except Unsupported:
        return node


def summands(copies: Copies, node: int) -> list[int]:
    """The parts that a node is the sum of; a minus sign goes to each of them."""
    here = copies.nodes[node]
    if here.op == "add" and not copies.types[here.type].dims:
        return [part for argument in here.args for part in summands(copies, argument)]
    if here.op == "neg" and copies.nodes[here.args[0]].op in ("add", "neg"):
        inner = summands(copies, here.args[0])
        return [_negative(copies, part) for part in inner]
    return [node]


def _negative(copies: Copies, node: int) -> int:
    here = copies.nodes[node]
    return here.args[0] if here.op == "neg" else copies.add("neg", (node,), None, here.type)


def total_of(copies: Copies, parts: Sequence[int]) -> int:
    """The sum of some nodes, 0 without any."""
    if len(parts) == 1:
        return parts[0]
    kind = _real(copies)
    if not parts:
        return copies.add("const", (), 0.0, kind)
    return copies.add("add", tuple(parts), None, kind)


def _real(copies: Copies) -> int:
    if REAL not in copies.types:
        copies.types.append(REAL)
    return copies.types.index(REAL)


def reads_law(facts: Facts, node: int, laws: Collection[str] | None = None) -> bool:
    """Whether an expression depends on the law of any population, or of some named ones."""
    return any(is_of_law(facts.nodes[i], laws) for i in reachable(facts.nodes, [node]))


def is_of_law(node: Node, laws: Collection[str] | None = None) -> bool:
    """Whether a node is a statistic of the law of any population, or of a named one."""
    if node.op not in MEMBERS:
        return False
    return laws is None or (isinstance(node.attr, tuple) and str(node.attr[1]) in laws)


def draws_from_law(facts: Facts, players: Sequence[Player], node: int) -> bool:
    """Whether an expression reads a noise while the chances of some noise depend on a law.

    Its expectation over the noises then depends on the law even where the expression does not.
    """
    densities = [n.density for p in players for n in p.noises if n.density is not None]
    below = (facts.nodes[i].op for i in leaves_of(facts.nodes, [node]))
    drawn = any(op in ("noise", "common_noise", "peer_noise") for op in below)
    return drawn and any(reads_law(facts, d) for d in densities)


def is_noisy(facts: Facts, node: int) -> bool:
    """Whether an expression reads a noise, or names single agents."""
    return any(facts.nodes[i].op in NOISY for i in leaves_of(facts.nodes, [node]))


def laws_read(copies: Copies, node: int) -> set[str]:
    """Populations whose law an expression reads."""
    found = set()
    for i in reachable(copies.nodes, [node]):
        here = copies.nodes[i]
        if here.op in MEMBERS:
            assert isinstance(here.attr, tuple)
            found.add(str(here.attr[1]))
    return found
