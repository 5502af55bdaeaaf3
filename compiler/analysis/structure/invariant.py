"""Invariance under a map of variables: rewards, masks, kernels and laws at t = 0 stay the same.

A game that does not change when every member, and what is common, is moved by one map has
equilibria that move along. Proved by identities, on real variables for the expressions as they are,
on finite ones at each kind of member; refuted at a point where two values differ for certain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate, Verdict, Witness
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.structure.cases import Verdicts
from mfdsl.compiler.analysis.structure.legal import are_legal, masks_of, of_legal_majors
from mfdsl.compiler.analysis.structure.masses import in_masses
from mfdsl.compiler.analysis.structure.moving import Motion, draws_differently, motion
from mfdsl.compiler.analysis.structure.stages import is_noisy, mean_of
from mfdsl.compiler.analysis.structure.steps import same_start, same_step
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Point, value_at
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.identities import Finding, is_zero
from mfdsl.compiler.analysis.symbolic.points import shown
from mfdsl.compiler.analysis.symbolic.terms import (
    Terms,
    UnsupportedError,
    difference,
    written_out,
)
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEMBERS, reachable

Failed = (UnsupportedError, TooLargeError, TooManyNodes, UndefinedError)


@dataclass(frozen=True)
class _Asked:
    """What has to stay the same: an expression of a player, under a name."""

    name: str
    player: Player
    node: int


def invariant(
    model: Model,
    copies: Copies,
    player: Player,
    images: Mapping[str, int],
    claim: str,
    seconds: float = 2.0,
) -> Certificate:
    """The certificate of invariance under the map that takes each variable to its image.

    `images` maps names of own variables of `player`, and "owner.name" of variables of majors and
    environments, to nodes of `copies` over own leaves.

    Raises:
        ValueError: a name is no variable that the player may move, or a finite variable does not
            keep its values.
    """
    started = processor_time()
    deadline = counted() + seconds
    moving = motion(model, copies, player, images)
    outside = _leaves_domain(model, copies, moving)
    decided: list[tuple[str, Verdicts, int | None]] = []
    for asked in _values(model):
        found = _same_value(model, copies, moving, asked, deadline)
        decided.append((asked.name, found, asked.node))
        if found.verdict == "refuted":
            break
    if all(v.verdict != "refuted" for _, v, _ in decided):
        for one in model.players:
            decided.append(
                (
                    f"next states of {one.name}",
                    same_step(model, copies, moving, one, deadline),
                    None,
                )
            )
            decided.append(
                (f"start of {one.name}", same_start(copies, moving, one, deadline), None)
            )
    name, worst, node = _worst(decided)
    verdict, reason, detail = worst.verdict, worst.reason, worst.detail
    if verdict == "proved" and outside is not None:
        verdict, reason, detail = "unknown", "domain", outside
    elif verdict != "proved":
        detail = f"{name}: {detail}" if detail else name
    certificate = Certificate(
        claim=claim,
        subject=player.name,
        verdict=verdict,
        method=worst.method if verdict != "proved" else _methods([v for _, v, _ in decided]),
        rigor="exact",
        witness=worst.witness,
        reason=reason,
        detail=detail,
        culprit=model.places[node] if node is not None and verdict != "proved" else None,
        seconds=round(processor_time() - started, 6),
    )
    return of_legal_majors(model, certificate)


def _methods(found: Sequence[Verdicts]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(m for v in found for m in v.method)) or ("nothing depends on it",)


def _worst(decided: Sequence[tuple[str, Verdicts, int | None]]) -> tuple[str, Verdicts, int | None]:
    order: tuple[Verdict, ...] = ("refuted", "unknown", "proved")
    empty = ("", Verdicts("proved"), None)
    return min(decided, key=lambda d: order.index(d[1].verdict), default=empty)


def _values(model: Model) -> list[_Asked]:
    """Rewards and masks of all players."""
    found = []
    for player in model.players:
        found += [_Asked(t.name, player, t.node) for t in player.rewards]
        if player.legal is not None:
            found.append(_Asked(f"legal actions of {player.name}", player, player.legal))
    return found


def _leaves_domain(model: Model, copies: Copies, moving: Motion) -> str | None:
    """A real variable whose image may leave its ends."""
    for name, image in moving.images.items():
        type_ = _type_of(model, copies, moving, name)
        if type_.kind != "real" or type_.periodic or (type_.lo is None and type_.hi is None):
            continue
        value = Evaluator(copies.facts, {}).value(image)
        low = -np.inf if type_.lo is None else float(type_.lo)
        high = np.inf if type_.hi is None else float(type_.hi)
        if type_.box or float(np.min(value.lo)) < low or float(np.max(value.hi)) > high:
            return f"the image of `{name}` may leave its bounds"
    return None


def _type_of(model: Model, copies: Copies, moving: Motion, name: str) -> Type:
    player = moving.player
    for v in (*player.states, *player.traits, *player.actions):
        if v.name == name:
            return copies.types[v.type]
    owner, _, variable = name.rpartition(".")
    other = model.player(owner)
    return copies.types[next(v.type for v in (*other.states, *other.actions) if v.name == variable)]


def _same_value(
    model: Model, copies: Copies, moving: Motion, asked: _Asked, deadline: float
) -> Verdicts:
    """Whether a value is the same after the motion, wherever it is legal."""
    if draws_differently(model, copies, moving, asked.player, [asked.node]):
        asked = replace(asked, node=mean_of(model, copies, asked.node, asked.player))
        if draws_differently(model, copies, moving, asked.player, [asked.node]):
            return Verdicts("unknown", "unsupported", "it reads a noise whose chances are moved")
    after = moving.moved(asked.node, asked.player.name)
    if after == asked.node:
        return Verdicts("proved")
    mask = asked.player.legal if asked.player.legal != asked.node else None
    try:
        terms, found = written_out(
            copies.facts, [asked.node, after, *([mask] if mask is not None else [])], bind=True
        )
        left = max(deadline - counted(), 0.01)
        apart = difference(terms, found[1], found[0])
        answer = is_zero(terms, apart, where=found[2:], seconds=min(left, 0.5))
        if answer.holds is None and _finite_law(copies, asked.player):
            by_kind = _at_kinds(copies, asked, after, deadline)
            if by_kind:
                return Verdicts("proved", method=("identities at each kind of member",))
    except Failed as error:
        return Verdicts("unknown", "unsupported", str(error))
    if answer.holds:
        return Verdicts("proved", method=(answer.method,))
    if answer.holds is False and is_noisy(copies.facts, asked.node):
        return Verdicts("unknown", "unsupported", "the reward reads a noise")
    if answer.holds is None:
        return Verdicts("unknown", answer.reason or "unsupported", answer.detail)
    if answer.point is not None and not _is_met(model, copies, answer.point):
        return Verdicts("unknown", "unsupported", "it may differ at laws with illegal actions only")
    return _different(terms, found[0], found[1], answer)


def _is_met(model: Model, copies: Copies, point: Point) -> bool:
    """Whether all members of the laws of a point may be there, for certain."""
    try:
        return are_legal(masks_of(model, copies), point.laws)
    except Failed:
        return False


def _different(terms: Terms, before: int, after: int, answer: Finding) -> Verdicts:
    assert answer.point is not None
    witness: Witness = dict(shown(answer.point))
    values = [_value(terms, node, answer.point) for node in (before, after)]
    witness |= {"value": values[0], "value after": values[1]}
    text = f"{values[0]:.6g} becomes {values[1]:.6g}"
    return Verdicts("refuted", None, text, (answer.method,), witness)


def _value(terms: Terms, node: int, point: Point) -> float:
    try:
        return float(value_at(terms, node, point)[0])
    except UndefinedError:
        return float("nan")


def _finite_law(copies: Copies, player: Player) -> bool:
    return player.kind == "population" and all(
        copies.types[v.type].finite and not copies.types[v.type].dims
        for v in (*player.states, *player.traits, *player.actions)
    )


def _at_kinds(copies: Copies, asked: _Asked, after: int, deadline: float) -> bool:
    """Whether both values are equal as functions of masses at every kind of member."""
    laws = {
        str(copies.nodes[i].attr[1])  # type: ignore[index]
        for i in reachable(copies.nodes, [asked.node, after])
        if copies.nodes[i].op in MEMBERS
    }
    if not laws <= {asked.player.name}:
        return False
    kind = copies.nodes[asked.node].type
    minus = copies.add("neg", (asked.node,), None, kind)
    apart = copies.add("add", (after, minus), None, kind)
    game = in_masses(copies, {asked.player.name: apart}, [asked.player])
    for node in game.rewards:
        if late(deadline):
            return False
        if game.terms.builder.exact(node) != 0 and not _vanishes(game.terms, node):
            return False
    return True


def _vanishes(terms: Terms, node: int) -> bool:
    return bool(is_zero(terms, node, count=2, seconds=0.2).holds)
