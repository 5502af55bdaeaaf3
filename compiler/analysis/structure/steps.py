"""Whether kernels and laws at t = 0 stay the same when all variables are moved by one map.

The next state of the image must have the law of the image of the next state. With the same noises,
or their mirror images where their law is symmetric, that is an identity of expressions; on finite
variables the chances of next states are compared at each kind of member.
"""

from collections.abc import Iterator, Sequence
from itertools import product as joint
from math import prod

import numpy as np

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.kernels import leaf_of
from mfdsl.compiler.analysis.structure.cases import (
    MAX_CASES,
    Verdicts,
    constants,
    image_of,
    own_leaf,
    same_chances,
    values_of,
)
from mfdsl.compiler.analysis.structure.moving import Motion, draws_differently
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.identities import is_zero
from mfdsl.compiler.analysis.symbolic.terms import (
    UnsupportedError,
    difference,
    written_out,
)
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.types import INT, Type
from mfdsl.compiler.ir.walk import given, reachable

MAX_MIRRORS = 4  # noises of which each may be mirrored
MIRRORED = {"normal": 0, "uniform": 1}  # law: the sum of a value and its mirror image
Failed = (UnsupportedError, TooLargeError, TooManyNodes)


def same_step(
    model: Model, copies: Copies, moving: Motion, player: Player, deadline: float
) -> Verdicts:
    """Whether the kernel of a player stays the same."""
    nexts = [(s, given(s.next)) for s in player.states]
    densities = [n.density for n in player.noises if n.density is not None]
    if _reads_moved_noises(model, copies, moving, player):
        detail = "they read a noise of another player, or of members, whose chances are moved"
        return Verdicts("unknown", "unsupported", detail)
    still = all(moving.moved(n, player.name) == n for _, n in nexts) and all(
        moving.moved(d, player.name) == d for d in densities
    )
    if still and not any(image_of(moving, player, s.name) is not None for s in player.states):
        return Verdicts("proved")
    shared = _is_shared(model, copies, player)
    try:
        common = _common_of_one(model, copies, player)
        if _same_noises(
            copies, moving, player, player.noises, "noise", nexts, deadline, common, not shared
        ):
            return Verdicts("proved", method=("identities with the same or mirrored noises",))
        if shared:
            return Verdicts("unknown", "unsupported", "other players read the same noises")
        if _is_finite(copies, player):
            return same_chances(model, copies, moving, player, deadline)
    except Failed as error:
        return Verdicts("unknown", "unsupported", str(error))
    detail = "neither the same noises nor mirrored ones lead to the image of the next state"
    return Verdicts("unknown", "unsupported", detail)


def _reads_moved_noises(model: Model, copies: Copies, moving: Motion, player: Player) -> bool:
    """Whether next states, or chances, read noises that are not the player's own and are moved."""
    roots = [given(s.next) for s in player.states]
    roots += [n.density for n in player.noises if n.density is not None]
    foreign = ("common_noise", "peer_noise")
    outside = [
        root
        for root in roots
        if any(copies.nodes[i].op in foreign for i in reachable(copies.nodes, [root]))
        and not _is_own(copies, player, root)
    ]
    return draws_differently(model, copies, moving, player, outside)


def _is_own(copies: Copies, player: Player, root: int) -> bool:
    """Whether all noises of an expression are those of a major or an environment itself."""
    below = [copies.nodes[i] for i in reachable(copies.nodes, [root])]
    return all(
        isinstance(n.attr, tuple) and n.attr[0] == player.name
        for n in below
        if n.op in ("common_noise", "peer_noise")
    ) and not any(n.op == "peer_noise" for n in below)


def _is_shared(model: Model, copies: Copies, player: Player) -> bool:
    """Whether next states or chances of other players read the noises of a player."""
    for other in model.players:
        roots = [given(s.next) for s in other.states]
        roots += [n.density for n in other.noises if n.density is not None]
        for i in reachable(copies.nodes, roots):
            node = copies.nodes[i]
            if node.op == "common_noise" and isinstance(node.attr, tuple):
                if other.name != player.name and node.attr[0] == player.name:
                    return True
    return False


def _common_of_one(model: Model, copies: Copies, player: Player) -> list[tuple[NoiseVariable, int]]:
    """Noises of environments, and their leaves, that only the moves of one population read.

    All members draw such a noise alike, so that it may be mirrored together with their own ones.
    """
    if player.kind != "population":
        return []
    mine, others = _common_leaves(copies, player), set[int]()
    for other in model.players:
        if other.name != player.name:
            others |= _common_leaves(copies, other)
    found = []
    for leaf in sorted(mine - others):
        attr = copies.nodes[leaf].attr
        assert isinstance(attr, tuple)
        noises = model.player(str(attr[0])).noises
        found += [(n, leaf) for n in noises if n.name == attr[1] and n.law is not None]
    return found


def _common_leaves(copies: Copies, player: Player) -> set[int]:
    """Leaves of common noises that a player's moves and chances read; what is paid is a mean over
    them, which is compared by itself.
    """
    roots = [given(s.next) for s in player.states]
    roots += [n.density for n in player.noises if n.density is not None]
    return {i for i in reachable(copies.nodes, roots) if copies.nodes[i].op == "common_noise"}


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


def _same_noises(
    copies: Copies,
    moving: Motion,
    player: Player,
    noises: Sequence[NoiseVariable],
    kind: str,
    values: Sequence[tuple[StateVariable, int]],
    deadline: float,
    common: Sequence[tuple[NoiseVariable, int]] = (),
    mirrored: bool = True,
) -> bool:
    """Whether some choice of noises, `mirrored` or not, takes new values to the images of the old
    ones. Those in `common` are drawn alike for all, beside the own `noises`.
    """
    leaves = [(n, leaf_of(copies.facts, player, n.name, kind)) for n in noises]
    read = [(n, leaf) for n, leaf in leaves if leaf is not None]
    free = [
        (n, leaf)
        for n, leaf in (*(read if mirrored else ()), *common)
        if n.law is not None and n.law[0] in MIRRORED
    ]
    choices = joint((False, True), repeat=len(free)) if len(free) <= MAX_MIRRORS else [()]
    whole = {v.name: node for v, node in values}
    for choice in choices:
        if late(deadline):
            return False
        instead = {
            leaf: _mirror(copies, leaf, MIRRORED[str(given_law(n)[0])])
            for (n, leaf), flipped in zip(free, choice, strict=False)
            if flipped
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
                if (leaf := own_leaf(copies, player, name)) is not None
            }
            wanted = copies.replaced(image, leaves)
        dims = copies.types[variable.type].dims
        for place in np.ndindex(*dims):
            yield _entry(copies, after, place), _entry(copies, wanted, place)


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
    for case in joint(*(values_of(copies, t) for _, _, t in own)):
        if late(deadline):
            return Verdicts("unknown", "budget", "no steps for all values at t = 0")
        instead = constants(copies, player, own, case)
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
