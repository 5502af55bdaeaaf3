"""Rewards over their noises: what a member is paid on average, given states, actions and laws."""

from collections.abc import Mapping, Sequence
from math import prod

from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.kernels import MAX_OUTCOMES, finite_noises, leaf_of, outcomes_of
from mfdsl.compiler.analysis.means import affine_mean, standard_noises
from mfdsl.compiler.analysis.noise import Reads, reads_noise
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import NoiseVariable, Player
from mfdsl.compiler.ir.walk import given, reachable


def drawing(players: Sequence[Player], owner: Player) -> tuple[Player, ...]:
    """Whose noises the expressions of a player may read: its own, and common ones. Populations may
    have noises of the same name, so that their leaves are the same.
    """
    return (owner, *(p for p in players if p.kind != "population" and p.name != owner.name))


def expected(copies: Copies, players: Sequence[Player], node: int, reads: Reads) -> int:
    """The mean of a number over the noises of some players (`drawing`) that it reads.

    Some stay in it: those without masses where it is not affine in them, and where there are too
    many outcomes those whose law does not depend on the source. It is then the mean for each of
    their values.

    Raises:
        Unsupported: there are too many outcomes.
    """
    if not reads_noise(copies.nodes, node):
        return node
    noises = finite_leaves(copies.facts, players)
    drawn = drawn_by(copies.facts, noises, node)
    if prod(copies.types[noises[leaf].type].size for leaf in drawn) > MAX_OUTCOMES:
        drawn = _moving(copies.facts, noises, drawn, reads)
    kind = copies.nodes[node].type
    parts = [
        copies.add("mul", (weight, copies.replaced(node, instead)), None, kind)
        for instead, weight in outcomes_of(copies, [(leaf, noises[leaf]) for leaf in drawn])
    ]
    total = copies.total(parts)
    mean = affine_mean(copies, total, standard_noises(copies, players))
    return total if mean is None else mean


def _moving(
    facts: Facts, noises: Mapping[int, NoiseVariable], drawn: Sequence[int], reads: Reads
) -> list[int]:
    """The noises whose law depends on the source, or on such a noise."""
    moving: set[int] = set()
    for _ in drawn:
        for leaf in drawn:
            chance = given(noises[leaf].density)
            others = moving - {leaf}
            if reads(chance) or not others.isdisjoint(reachable(facts.nodes, [chance])):
                moving.add(leaf)
    return sorted(moving)


def finite_leaves(facts: Facts, players: Sequence[Player]) -> dict[int, NoiseVariable]:
    """The noises of some players that have masses, by their leaves."""
    found = {}
    for player in players:
        for noise in finite_noises(player):
            leaf = leaf_of(facts, player, noise.name)
            if leaf is not None:
                found[leaf] = noise
    return found


def drawn_by(facts: Facts, noises: Mapping[int, NoiseVariable], node: int) -> list[int]:
    """The leaves of the noises that a number reads, or the chances of those that it reads."""
    found: set[int] = set()
    open_ = [node]
    while open_:
        below = noises.keys() & reachable(facts.nodes, [open_.pop()])
        open_ += [given(noises[leaf].density) for leaf in below - found]
        found |= below
    return sorted(found)
