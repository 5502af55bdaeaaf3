"""Chances of next states at every kind of member, before and after all variables are moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as joint
from math import prod

from mfdsl.compiler.analysis.certificate import Reason, Verdict, Witness
from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.kernels import leaf_of
from mfdsl.compiler.analysis.structure.legal import Mask, are_legal, masks_of
from mfdsl.compiler.analysis.structure.masses import over_masses, variables_of
from mfdsl.compiler.analysis.structure.moving import Motion
from mfdsl.compiler.analysis.structure.stages import laws_read
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.identities import is_zero
from mfdsl.compiler.analysis.symbolic.points import shown
from mfdsl.compiler.analysis.symbolic.terms import (
    Terms,
    UnsupportedError,
    difference,
    total,
    written_out,
)
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import given

MAX_CASES = 3000


@dataclass(frozen=True)
class Verdicts:
    """A verdict with what belongs to it in a certificate."""

    verdict: Verdict
    reason: Reason | None = None
    detail: str | None = None
    method: tuple[str, ...] = ()
    witness: Witness | None = None


def own_leaf(copies: Copies, player: Player, name: str) -> int | None:
    """The leaf of a state or a trait of a player, if it is read anywhere."""
    state = leaf_of(copies.facts, player, name, "state")
    return state if state is not None else leaf_of(copies.facts, player, name, "trait")


def image_of(moving: Motion, player: Player, name: str) -> int | None:
    """The image of a state of a player, None if it stays."""
    if player.name == moving.player.name and name in moving.images:
        return moving.images[name]
    return moving.images.get(f"{player.name}.{name}")


def same_chances(
    model: Model, copies: Copies, moving: Motion, player: Player, deadline: float
) -> Verdicts:
    """Chances of next states at every kind of member, in the law as it is.

    Raises:
        UnsupportedError: there are too many cases, or one has no written-out form.
    """
    own = [("state", s.name, s.type) for s in player.states]
    own += [("trait", s.name, s.type) for s in player.traits]
    own += [("action", a.name, a.type) for a in player.actions]
    noises = [("noise", n.name, n.type) for n in player.noises]
    sizes = [copies.types[t].size for _, _, t in (*own, *noises)]
    if prod(sizes) > MAX_CASES:
        raise UnsupportedError(f"{prod(sizes):,} cases")
    cases = [
        case
        for case in joint(*(values_of(copies, t) for _, _, t in own))
        if _is_legal(copies, player, own, case)
    ]
    draws = list(joint(*(values_of(copies, t) for _, _, t in noises)))
    roots: list[int] = []
    for case in cases:
        for draw in draws:
            roots += _case_roots(copies, moving, player, (*own, *noises), (*case, *draw))
    terms, nodes = written_out(copies.facts, roots, bind=True)
    nodes = _in_masses(copies, moving, player, terms, nodes)
    width = len(roots) // max(len(cases) * len(draws), 1)
    masks = masks_of(model, copies)
    for k, case in enumerate(cases):
        if late(deadline):
            return Verdicts("unknown", "budget", "no steps for all kinds of members")
        start = k * len(draws) * width
        part = nodes[start : start + len(draws) * width]
        found = _same_chances(terms, part, len(player.states), width, masks)
        if found is not None:
            names = {name: v for (_, name, _), v in zip(own, case, strict=True)}
            return Verdicts(
                found.verdict,
                found.reason,
                found.detail,
                found.method,
                {**names, **(found.witness or {})} if found.verdict == "refuted" else None,
            )
    return Verdicts("proved", method=("chances of next states at each kind of member",))


def _in_masses(
    copies: Copies, moving: Motion, player: Player, terms: Terms, nodes: tuple[int, ...]
) -> tuple[int, ...]:
    """Terms with the means over the player's own law as sums of masses, where only it is read."""
    densities = [n.density for n in player.noises if n.density is not None]
    both = [*densities, *(moving.moved(d, player.name) for d in densities)]
    laws = {name for node in both for name in laws_read(copies, node)}
    if laws != {player.name}:
        return nodes
    read = {f"{k}": node for k, node in enumerate(both)}
    return over_masses(terms, player, variables_of(copies, player, read), copies.types, nodes)


def values_of(copies: Copies, kind: int) -> range:
    """The values of a finite type by its index."""
    type_ = copies.types[kind]
    return range(type_.first, type_.first + type_.size)


Own = Sequence[tuple[str, str, int]]


def _is_legal(copies: Copies, player: Player, own: Own, case: Sequence[int]) -> bool:
    """Whether a mask allows a case; a mask without a value there counts as one that does."""
    if player.legal is None:
        return True
    instead = constants(copies, player, own, case)
    terms, (node,) = written_out(copies.facts, [copies.replaced(player.legal, instead)], bind=True)
    return terms.builder.exact(node) != 0


def constants(copies: Copies, player: Player, own: Own, case: Sequence[int]) -> dict[int, int]:
    """Own leaves, those that are read, with constants to put in their place."""
    found = {}
    for (kind, name, _), value in zip(own, case, strict=True):
        leaf = leaf_of(copies.facts, player, name, kind)
        if leaf is not None:
            found[leaf] = copies.const(value, leaf)
    return found


def _case_roots(
    copies: Copies, moving: Motion, player: Player, own: Own, case: Sequence[int]
) -> list[int]:
    """Chance and image of the next states, chance and next states of the image, in one case."""
    instead = constants(copies, player, own, case)
    densities = [n.density for n in player.noises if n.density is not None]
    nexts = {s.name: copies.replaced(given(s.next), instead) for s in player.states}
    leaves = {
        leaf: node
        for name, node in nexts.items()
        if (leaf := own_leaf(copies, player, name)) is not None
    }
    images = []
    for name, node in nexts.items():
        image = image_of(moving, player, name)
        images.append(node if image is None else copies.replaced(image, leaves))
    before = [copies.replaced(d, instead) for d in densities]
    after = [copies.replaced(moving.moved(d, player.name), instead) for d in densities]
    moved = [
        copies.replaced(moving.moved(given(s.next), player.name), instead) for s in player.states
    ]
    return [*images, *before, *moved, *after]


def _same_chances(
    terms: Terms,
    part: Sequence[int],
    states: int,
    width: int,
    masks: Mapping[str, Mask | None],
) -> Verdicts | None:
    """Whether both ways lead to the same chances; None if they do."""
    half = width // 2
    sums: dict[tuple[Fraction | None, ...], tuple[list[int], list[int]]] = {}
    for start in range(0, len(part), width):
        for side in (0, 1):
            row = part[start + side * half : start + (side + 1) * half]
            state = tuple(terms.builder.exact(n) for n in row[:states])
            if any(s is None for s in state):
                return Verdicts("unknown", "unsupported", "a next state that reads a law or time")
            chances = sorted(row[states:])
            chance = terms.builder.add("mul", chances) if len(chances) > 1 else None
            if chance is None:
                chance = chances[0] if chances else terms.builder.const(1)
            sums.setdefault(state, ([], []))[side].append(chance)
    for state, (one, other) in sums.items():
        apart = difference(terms, total(terms, other), total(terms, one))
        if terms.builder.exact(apart) == 0:
            continue
        answer = is_zero(terms, apart, seconds=0.3)
        if answer.holds:
            continue
        text = ", ".join(str(s) for s in state)
        if answer.holds is None or answer.point is None or answer.value is None:
            return Verdicts("unknown", "unsupported", f"the chance of {text}")
        if not are_legal(masks, answer.point.laws):
            detail = f"the chance of {text} may change at laws with illegal actions only"
            return Verdicts("unknown", "unsupported", detail)
        witness: Witness = {**shown(answer.point), "next": text, "difference": answer.value[0]}
        detail = f"the chance of {text} changes by {answer.value[0]:.4g}"
        return Verdicts("refuted", None, detail, (answer.method,), witness)
    return None
