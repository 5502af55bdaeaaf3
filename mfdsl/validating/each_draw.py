"""Which Lipschitz constants hold at each draw of the noises, and which on average only.

Rewards are certified as means over the noises that they read, and laws of next states in
Wasserstein-1. Where a noise multiplies what depends on the law, or is drawn with chances that do,
two situations with the same draws may be further apart than the constant says, and that is no bug.
"""

from collections.abc import Callable, Sequence

from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.expected import drawing, drawn_by, finite_leaves
from mfdsl.compiler.analysis.lipschitz import Source, Subject
from mfdsl.compiler.analysis.noise import is_shift, reads_noise
from mfdsl.compiler.ir.model import Node, Player
from mfdsl.compiler.ir.walk import given, reachable

Reads = Callable[[int], bool]

PRODUCTS = ("mul", "div", "pow", "dot", "atan2")


def at_each_draw(facts: Facts, player: Player, subject: Subject, source: Source) -> bool:
    """Whether a constant of a reward or of next states also bounds how far these are apart at the
    same draws. False where that is not sure.
    """

    def reads(node: int) -> bool:
        return source.read_by(facts, node)

    roots = [term.node for term in subject.terms]
    if subject.dynamics is not None:
        roots = [s.next for s in player.states if s.next is not None]
    noises = finite_leaves(facts, drawing(subject.players, player))
    drawn = {leaf for root in roots for leaf in drawn_by(facts, noises, root)}
    if any(reads(given(noises[leaf].density)) for leaf in drawn):
        return False
    if subject.dynamics is None:
        return all(is_shift(facts.nodes, root, reads) for root in roots)
    return not any(_scaled(facts.nodes, node, reads) for node in reachable(facts.nodes, roots))


def _scaled(nodes: Sequence[Node], node: int, reads: Reads) -> bool:
    """Whether a noise is multiplied with something else that depends on the law."""
    here = nodes[node]
    if here.op not in PRODUCTS:
        return False
    noisy = [reads_noise(nodes, part) for part in here.args]
    moved = [reads(part) for part in here.args]
    alone = sum(a or b for a, b in zip(noisy, moved, strict=True)) < 2
    return not alone and any(noisy) and any(moved)
