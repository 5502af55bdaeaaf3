"""Whether kernels and laws at t = 0 stay the same when all variables are moved by one map.

The next state of the image must have the law of the image of the next state. With the same noises,
or their mirror images where their law is symmetric, that is an identity of expressions; on finite
variables the chances of next states are compared at each kind of member.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as joint
from math import prod

import numpy as np

from mfdsl.compiler.analysis.certificate import Reason, Verdict, Witness
from mfdsl.compiler.analysis.kernels import leaf_of
from mfdsl.compiler.analysis.structure.moving import Motion
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.identities import is_zero
from mfdsl.compiler.analysis.symbolic.points import shown
from mfdsl.compiler.analysis.symbolic.terms import (
    Terms,
    UnsupportedError,
    difference,
    total,
    written_out,
)
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.types import INT, Type
from mfdsl.compiler.ir.walk import given

MAX_CASES = 3000
MAX_MIRRORS = 4  # noises of which each may be mirrored
MIRRORED = {"normal": 0, "uniform": 1}  # law: the sum of a value and its mirror image
Failed = (UnsupportedError, TooLargeError, TooManyNodes)


@dataclass(frozen=True)
class Verdicts:
    """A verdict with what belongs to it in a certificate."""

    verdict: Verdict
    reason: Reason | None = None
    detail: str | None = None
    method: tuple[str, ...] = ()
    witness: Witness | None = None


def same_step(copies: Copies, moving: Motion, player: Player, deadline: float) -> Verdicts:
    """Whether the kernel of a player stays the same."""
    nexts = [(s, given(s.next)) for s in player.states]
    densities = [n.density for n in player.noises if n.density is not None]
    still = all(moving.moved(n, player.name) == n for _, n in nexts) and all(
        moving.moved(d, player.name) == d for d in densities
    )
    if still and not any(image_of(moving, player, s.name) is not None for s in player.states):
        return Verdicts("proved")
    try:
        if _same_noises(copies, moving, player, player.noises, "noise", nexts, deadline):
            return Verdicts("proved", method=("identities with the same or mirrored noises",))
        if _is_finite(copies, player):
            return _by_cases(copies, moving, player, deadline)
    except Failed as error:
        return Verdicts("unknown", "unsupported", str(error))
    detail = "neither the same noises nor mirrored ones lead to the image of the next state"
    return Verdicts("unknown", "unsupported", detail)


def same_start(copies: Copies, moving: Motion, player: Player, deadline: float) -> Verdicts:
    """Whether the law of states and traits at t = 0 stays the same."""
    variables = [*player.states, *player.traits]
    laws = [given(v.start if v.initial is None else v.initial) for v in variables]
    still = all(moving.moved(n, player.name) == n for n in laws)
    if still and not any(image_of(moving, player, v.name) is not None for v in variables):
        return Verdicts("proved")
    try:
        if all(v.initial is not None for v in variables):
            return _same_masses(copies, moving, player, variables, deadline)
        if any(v.initial is not None for v in variables):
            return Verdicts("unknown", "unsupported", "laws of two sorts at t = 0")
        starts = [(v, given(v.start)) for v in variables]
        if _same_noises(copies, moving, player, player.draws, "draw", starts, deadline):
            return Verdicts("proved", method=("identities with the same or mirrored draws",))
    except Failed as error:
        return Verdicts("unknown", "unsupported", str(error))
    return Verdicts("unknown", "unsupported", "the law at t = 0 is not known to be its own image")


def image_of(moving: Motion, player: Player, name: str) -> int | None:
    """The image of a state of a player, None if it stays."""
    if player.name == moving.player.name and name in moving.images:
        return moving.images[name]
    return moving.images.get(f"{player.name}.{name}")


def _same_noises(
    copies: Copies,
    moving: Motion,
    player: Player,
    noises: Sequence[NoiseVariable],
    kind: str,
    values: Sequence[tuple[StateVariable, int]],
    deadline: float,
) -> bool:
    """Whether some choice of mirrored noises takes new values to the images of the old ones."""
    leaves = [(n, leaf_of(copies.facts, player, n.name, kind)) for n in noises]
    read = [(n, leaf) for n, leaf in leaves if leaf is not None]
    free = [n.name for n, _ in read if n.law is not None and n.law[0] in MIRRORED]
    choices = joint((False, True), repeat=len(free)) if len(free) <= MAX_MIRRORS else [()]
    whole = {v.name: node for v, node in values}
    for choice in choices:
        if time.perf_counter() > deadline:
            return False
        mirrored = dict(zip(free, choice, strict=False))
        instead = {
            leaf: _mirror(copies, leaf, MIRRORED[str(given_law(n)[0])])
            for n, leaf in read
            if mirrored.get(n.name)
        }
        pairs = list(_pairs(copies, moving, player, values, whole, instead))
        pairs += [
            (moving.moved(n.density, player.name), n.density)
            for n, _ in read
            if n.density is not None and kind == "noise"
        ]
        if all(_equal(copies, a, b) for a, b in pairs):
            return True
    return False


def given_law(noise: NoiseVariable) -> tuple[str | float, ...]:
    """The standard law of a noise that has one."""
    assert noise.law is not None
    return noise.law


def _mirror(copies: Copies, leaf: int, whole: int) -> int:
    """`whole` less a leaf."""
    kind = copies.nodes[leaf].type
    minus = copies.add("neg", (leaf,), None, kind)
    if not whole:
        return minus
    scalar = _index(copies, Type(kind="real"))
    return copies.add("add", (copies.add("const", (), float(whole), scalar), minus), None, kind)


def _index(copies: Copies, type: Type) -> int:
    if type not in copies.types:
        copies.types.append(type)
    return copies.types.index(type)


def _pairs(
    copies: Copies,
    moving: Motion,
    player: Player,
    values: Sequence[tuple[StateVariable, int]],
    whole: dict[str, int],
    instead: dict[int, int],
) -> Iterator[tuple[int, int]]:
    """Scalars that must be equal: new values of the image, images of new values."""
    for variable, node in values:
        image = image_of(moving, player, variable.name)
        after = copies.replaced(moving.moved(node, player.name), instead)
        wanted = node
        if image is not None:
            leaves = {
                leaf: whole[name]
                for name in whole
                if (leaf := _own_leaf(copies, player, name)) is not None
            }
            wanted = copies.replaced(image, leaves)
        dims = copies.types[variable.type].dims
        for place in np.ndindex(*dims):
            yield _entry(copies, after, place), _entry(copies, wanted, place)


def _own_leaf(copies: Copies, player: Player, name: str) -> int | None:
    state = leaf_of(copies.facts, player, name, "state")
    return state if state is not None else leaf_of(copies.facts, player, name, "trait")


def _entry(copies: Copies, node: int, place: tuple[int, ...]) -> int:
    if not place:
        return node
    kind = _index(copies, INT)
    at = tuple(copies.add("const", (), int(p), kind) for p in place)
    return copies.add("element", (node, *at), None, _index(copies, Type(kind="real")))


def _equal(copies: Copies, one: int, other: int) -> bool:
    if one == other:
        return True
    terms, (a, b) = written_out(copies.facts, [one, other], bind=True)
    return bool(is_zero(terms, difference(terms, a, b), count=4, seconds=0.3).holds)


def _is_finite(copies: Copies, player: Player) -> bool:
    return all(
        copies.types[v.type].finite and not copies.types[v.type].dims
        for v in (*player.states, *player.traits, *player.actions, *player.noises)
    )


def _by_cases(copies: Copies, moving: Motion, player: Player, deadline: float) -> Verdicts:
    """Chances of next states at every kind of member, in the law as it is."""
    own = [("state", s.name, s.type) for s in player.states]
    own += [("trait", s.name, s.type) for s in player.traits]
    own += [("action", a.name, a.type) for a in player.actions]
    noises = [("noise", n.name, n.type) for n in player.noises]
    sizes = [copies.types[t].size for _, _, t in (*own, *noises)]
    if prod(sizes) > MAX_CASES:
        raise UnsupportedError(f"{prod(sizes):,} cases")
    cases = [
        case
        for case in joint(*(_range(copies, t) for _, _, t in own))
        if _is_legal(copies, player, own, case)
    ]
    draws = list(joint(*(_range(copies, t) for _, _, t in noises)))
    roots: list[int] = []
    for case in cases:
        for draw in draws:
            roots += _case_roots(copies, moving, player, (*own, *noises), (*case, *draw))
    terms, nodes = written_out(copies.facts, roots, bind=True)
    width = len(roots) // max(len(cases) * len(draws), 1)
    for k, case in enumerate(cases):
        if time.perf_counter() > deadline:
            return Verdicts("unknown", "budget", "no time for all kinds of members")
        start = k * len(draws) * width
        part = nodes[start : start + len(draws) * width]
        found = _same_chances(terms, part, len(player.states), width)
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


def _range(copies: Copies, kind: int) -> range:
    type_ = copies.types[kind]
    return range(type_.first, type_.first + type_.size)


Own = Sequence[tuple[str, str, int]]


def _is_legal(copies: Copies, player: Player, own: Own, case: Sequence[int]) -> bool:
    """Whether a mask allows a case; a mask without a value there counts as one that does."""
    if player.legal is None:
        return True
    instead = _constants(copies, player, own, case)
    terms, (node,) = written_out(copies.facts, [copies.replaced(player.legal, instead)], bind=True)
    return terms.builder.exact(node) != 0


def _constants(copies: Copies, player: Player, own: Own, case: Sequence[int]) -> dict[int, int]:
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
    instead = _constants(copies, player, own, case)
    densities = [n.density for n in player.noises if n.density is not None]
    nexts = {s.name: copies.replaced(given(s.next), instead) for s in player.states}
    leaves = {
        leaf: node
        for name, node in nexts.items()
        if (leaf := _own_leaf(copies, player, name)) is not None
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


def _same_chances(terms: Terms, part: Sequence[int], states: int, width: int) -> Verdicts | None:
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
        witness: Witness = {**shown(answer.point), "next": text, "difference": answer.value[0]}
        detail = f"the chance of {text} changes by {answer.value[0]:.4g}"
        return Verdicts("refuted", None, detail, (answer.method,), witness)
    return None


def _same_masses(
    copies: Copies,
    moving: Motion,
    player: Player,
    variables: Sequence[StateVariable],
    deadline: float,
) -> Verdicts:
    """Whether each joint value at t = 0 is as likely as its image."""
    own = [("trait" if v in player.traits else "state", v.name, v.type) for v in variables]
    sizes = [copies.types[t].size for _, _, t in own]
    if prod(sizes) > MAX_CASES:
        return Verdicts("unknown", "unsupported", f"{prod(sizes):,} values at t = 0")
    masses = [given(v.initial) for v in variables]
    for case in joint(*(_range(copies, t) for _, _, t in own)):
        if time.perf_counter() > deadline:
            return Verdicts("unknown", "budget", "no time for all values at t = 0")
        instead = _constants(copies, player, own, case)
        before = [copies.replaced(m, instead) for m in masses]
        after = [copies.replaced(moving.moved(m, player.name), instead) for m in masses]
        terms, nodes = written_out(copies.facts, [*before, *after], bind=True)
        half = len(masses)
        products = [
            terms.builder.add("mul", sorted(part)) if len(part) > 1 else part[0]
            for part in (nodes[:half], nodes[half:])
        ]
        apart = difference(terms, products[1], products[0])
        if terms.builder.exact(apart) == 0:
            continue
        answer = is_zero(terms, apart, seconds=0.3)
        if not answer.holds:
            values = ", ".join(f"{n}={v}" for (_, n, _), v in zip(own, case, strict=True))
            if answer.holds is None:
                return Verdicts("unknown", "unsupported", f"the mass of {values} at t = 0")
            witness: Witness = {n: v for (_, n, _), v in zip(own, case, strict=True)}
            assert answer.value is not None
            witness["difference"] = answer.value[0]
            return Verdicts("refuted", None, f"the mass of {values} at t = 0", (), witness)
    return Verdicts("proved", method=("masses at t = 0",))
