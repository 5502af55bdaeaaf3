"""Certificates `asymmetry(dynamics)` and `asymmetry(reward)` of a population: alpha and beta."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np

from mfdsl.compiler.analysis.asymmetry.averages import averaged
from mfdsl.compiler.analysis.asymmetry.degrees import means_reading
from mfdsl.compiler.analysis.asymmetry.extremes import Extremes, extremes
from mfdsl.compiler.analysis.asymmetry.outputs import (
    Outputs,
    difference,
    reads_traits,
    total,
    transition_masses,
)
from mfdsl.compiler.analysis.asymmetry.traits import (
    Hidden,
    hidden_of,
    hidden_sources,
    own,
    twin_of,
)
from mfdsl.compiler.analysis.asymmetry.weights import weighted
from mfdsl.compiler.analysis.axes import choose_axes
from mfdsl.compiler.analysis.certificate import Certificate, Reason, Share, Verdict, Witness
from mfdsl.compiler.analysis.enclosure import Evaluator, leaves_of
from mfdsl.compiler.analysis.expected import expected
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.opened import (
    Box,
    assumptions,
    bound,
    corners,
    is_affine,
    named,
    opened,
    read_of,
)
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.subjects import place_of, subject_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Place, Player
from mfdsl.compiler.ir.walk import reachable

LARGEST_L1 = 2.0
ROUNDING = 1e-13
MAX_CORNERS = 5  # parameters of which all combinations of ends are taken
TIGHT = 1e-12  # relative: closer than this a bound counts as equal to a claim
ACTED = {"action", "peer_action", "common_action"}
SYMMETRIC = ("all players have the same",)


@dataclass(frozen=True)
class Measured:
    """alpha or beta of a population, enclosed in [lower, upper].

    `mean` encloses the mean over the players, `centred` half the range of the signed difference at
    the worst player (rewards only). `heterogeneity` and `anonymity` bound how far one player's
    mean over all orders of the others is from the average, and from what it does in an order.
    `players` [N, 2] and `centred_players` [N, 2] where the players stand in files.
    """

    lower: float
    upper: float
    mean: tuple[float, float]
    centred: tuple[float, float] | None
    heterogeneity: float
    anonymity: float
    players: np.ndarray | None = None
    centred_players: np.ndarray | None = None
    witness: Witness | None = None
    method: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    culprit: Place | None = None
    detail: str = ""
    reason: Reason | None = None
    boxes: int = 0


def asymmetry(
    model: Model,
    population: str,
    what: str,
    seconds: float = 1.0,
    most: float | None = None,
    *,
    box: Box | None = None,
) -> Certificate:
    """The certificate of alpha (`dynamics`) or beta (`reward`, or the name of a term or let).

    With `most` the claim is that it is at most that, with a `box` it is about the worst values of
    its parameters. Norm: l1 between laws of next states, absolute value of rewards.

    Raises:
        ValueError: there is no such population or subject.
    """
    began = time.perf_counter()
    if box:
        found = measured_over(model, box, population, what, seconds)
    else:
        found = measured(model, population, what, seconds)
    claim = f"asymmetry({what})"
    verdict, reason = _verdict(found, most)
    return Certificate(
        claim=claim if most is None else f"{claim} <= {most:.10g}",
        subject=what,
        source=", ".join(found.traits) or None,
        verdict=verdict,
        lower=found.lower,
        upper=found.upper if isfinite(found.upper) else None,
        norm="l1" if what == "dynamics" else "absolute",
        method=found.method,
        rigor="float64",
        witness=found.witness,
        reason=reason,
        detail=_detail(found),
        shares=tuple(
            Share(term=name, upper=upper)
            for name, upper in (
                ("heterogeneity", found.heterogeneity),
                ("non-anonymity", found.anonymity),
            )
            if isfinite(upper)
        ),
        culprit=found.culprit if found.upper > 0 else None,
        assumptions=assumptions(box or {}),
        boxes=found.boxes,
        seconds=time.perf_counter() - began,
    )


def _verdict(found: Measured, most: float | None) -> tuple[Verdict, Reason | None]:
    if most is not None and found.lower > most + TIGHT * (1 + abs(most)):
        return "refuted", None
    if most is not None and found.upper <= most + TIGHT * (1 + abs(most)):
        return "proved", None
    if found.reason is not None:
        return "unknown", found.reason
    if not isfinite(found.upper):
        return "unknown", "domain"
    return ("proved", None) if most is None else ("unknown", "budget")


def _detail(found: Measured) -> str:
    parts = [found.detail] if found.detail else []
    if found.upper > 0 and isfinite(found.upper):
        parts.append(f"mean over players in [{found.mean[0]:.4g}, {found.mean[1]:.4g}]")
        if found.centred is not None:
            parts.append(f"centred in [{found.centred[0]:.4g}, {found.centred[1]:.4g}]")
    return "; ".join(parts)


def measured(model: Model, population: str, what: str, seconds: float = 1.0) -> Measured:
    """Alpha or beta with everything that is known of it.

    Raises:
        ValueError: there is no such population or subject.
    """
    player = next((p for p in model.populations if p.name == population), None)
    if player is None:
        raise ValueError(f"no population `{population}`")
    if subject_of(model, player, what) is None:
        raise ValueError(f"`{population}` has no `{what}`")
    copies = Copies(facts_of(model))
    try:
        return _measured(model, player, what, copies, seconds)
    except Unsupported as error:
        top = _largest_possible(model, player, what, seconds)
        return Measured(
            0.0,
            top,
            (0.0, top),
            None if what == "dynamics" else (0.0, top),
            top,
            top,
            method=("range",),
            detail=str(error),
            reason="unsupported",
        )


def measured_over(
    model: Model, box: Box, population: str, what: str, seconds: float = 1.0
) -> Measured:
    """Alpha or beta at the worst values of the parameters in a box.

    Opened parameters are searched like states. Where that has no tape, and the outputs are affine
    in each of them, a distance is convex in it, so that it is largest at an end.

    Raises:
        ValueError: there is no such population or subject.
    """
    whole = measured(opened(model, box), population, what, seconds)
    if whole.reason is None:
        mean = (0.0, whole.mean[1])  # the worst values of single players are no common ones
        return replace(whole, mean=mean, witness=named(whole.witness, {}))
    player, copies = model.player(population), Copies(facts_of(model))
    try:
        roots = outputs_of(model, player, what, copies).roots
    except Unsupported:
        return whole
    read = read_of(copies.nodes, [*roots, *_laws_of_traits(player)], box)
    if len(read) > MAX_CORNERS or not all(is_affine(copies.nodes, roots, n) for n in read):
        return whole
    if any(n in read_of(model.nodes, _laws_of_traits(player), box) for n in read):
        return whole
    cases = []
    for values in corners({n: box[n] for n in read}):
        found = measured(bound(model, values), population, what, seconds)
        if found.reason is not None:
            return whole
        cases.append(replace(found, witness=named(found.witness, values)))
    return _worst(cases)


def _laws_of_traits(player: Player) -> list[int]:
    found = [n for t in player.traits for n in (t.initial, t.start)]
    return [n for n in (*found, *(d.density for d in player.draws)) if n is not None]


def _worst(cases: Sequence[Measured]) -> Measured:
    """The largest of several, each bound by itself."""
    top = max(cases, key=lambda m: m.lower)
    centred = [m.centred for m in cases if m.centred is not None]
    return replace(
        top,
        upper=max(m.upper for m in cases),
        mean=(max(m.mean[0] for m in cases), max(m.mean[1] for m in cases)),
        centred=None
        if not centred
        else (max(low for low, _ in centred), max(high for _, high in centred)),
        heterogeneity=max(m.heterogeneity for m in cases),
        anonymity=max(m.anonymity for m in cases),
        players=None,
        centred_players=None,
        method=tuple(dict.fromkeys([*(s for m in cases for s in m.method), "ends of parameters"])),
        boxes=sum(m.boxes for m in cases),
    )


def _measured(model: Model, player: Player, what: str, copies: Copies, seconds: float) -> Measured:
    traits = hidden_of(model, player)
    names = frozenset(t.name for t in traits)
    roots = _roots(model, player, what, copies)
    others = {(p.name, t.name) for p in model.populations for t in hidden_of(model, p)}
    marked = [m for r in roots for m in means_reading(copies.nodes, r, "peer_trait")]
    for mean in marked:
        if _reads_hidden(copies, mean, others):
            raise Unsupported("a mean that reads hidden traits of the others")
    below = {copies.nodes[i].op for i in reachable(copies.nodes, roots)}
    if "peer_noise" in below:
        raise Unsupported("a mean that reads noises of the others")
    by_weights = any(means_reading(copies.nodes, r, "weight") for r in roots)
    if not by_weights and not any(reads_traits(copies, r, names) for r in roots):
        return Measured(
            0.0,
            0.0,
            (0.0, 0.0),
            None if what == "dynamics" else (0.0, 0.0),
            0.0,
            0.0,
            method=(f"{SYMMETRIC[0]} {what}",),
        )
    outputs = outputs_of(model, player, what, copies)
    masked = bool(below & ACTED) and any(p.legal is not None for p in model.players)
    if masked:
        outputs = replace(outputs, sharp=False)  # differences may be at illegal actions only
    if by_weights:
        if any(reads_traits(copies, r, names) for r in outputs.roots):
            raise Unsupported("hidden traits beside weights")
        return _of_weights(model, player, copies, outputs)
    read = tuple(
        t for t in traits if any(reads_traits(copies, r, frozenset({t.name})) for r in roots)
    )
    hidden = hidden_sources(copies, player, traits, read)
    found = _of_traits(model, player, copies, outputs, hidden, seconds)
    if masked and found.centred is not None:
        found = replace(found, centred=(0.0, found.centred[1]))
    return found


def _roots(model: Model, player: Player, what: str, copies: Copies) -> list[int]:
    """Chances and next states, or the terms of a reward: means over noises that know the player."""
    subject = subject_of(model, player, what)
    assert subject is not None
    names = frozenset(t.name for t in hidden_of(model, player))

    def reads(node: int) -> bool:
        by_weights = bool(means_reading(copies.nodes, node, "weight"))
        return by_weights or reads_traits(copies, node, names)

    if subject.dynamics is None:
        return [expected(copies, subject.drawn, t.node, reads) for t in subject.terms]
    nexts = [s.next for s in player.states if s.next is not None]
    return nexts + [n.density for n in player.noises if n.density is not None]


def _reads_hidden(copies: Copies, mean: int, hidden: set[tuple[str, str]]) -> bool:
    attr = copies.nodes[mean].attr
    assert isinstance(attr, tuple)
    return any(
        copies.nodes[i].op == "peer_trait"
        and (str(attr[1]), str(copies.nodes[i].attr[1])) in hidden  # type: ignore[index]
        for i in reachable(copies.nodes, copies.nodes[mean].args)
    )


def outputs_of(model: Model, player: Player, what: str, copies: Copies) -> Outputs:
    """The reward of that name, or the masses of the next states.

    Raises:
        Unsupported: an array, or next states without such masses.
    """
    if what == "dynamics":
        names = frozenset(t.name for t in hidden_of(model, player))
        return transition_masses(copies, player, names)
    root = total(copies, _roots(model, player, what, copies))
    if copies.types[copies.nodes[root].type].dims:
        raise Unsupported(f"`{what}` is an array")
    return Outputs((root,), (what,))


def _apart(copies: Copies, player: Player, outputs: Outputs, roots: list[int]) -> Outputs:
    """The differences in the place of the outputs; a noise that is held fixed is not averaged."""
    noises = {n.name for n in player.noises}
    below = (copies.nodes[i] for i in reachable(copies.nodes, roots))
    fixed = any(n.op == "noise" and n.attr in noises for n in below)
    return Outputs(tuple(roots), outputs.names, outputs.sharp and not fixed)


def _of_traits(
    model: Model,
    player: Player,
    copies: Copies,
    outputs: Outputs,
    hidden: Hidden,
    seconds: float,
) -> Measured:
    populations = [p.name for p in model.populations]
    mine = [own(copies, r, hidden) for r in outputs.roots]
    means = [averaged(copies, r, hidden) for r in mine]
    if all(m is not None for m in means):
        apart = [
            difference(copies, r, m) for r, m in zip(mine, means, strict=True) if m is not None
        ]
        found = extremes(
            copies,
            player,
            _apart(copies, player, outputs, apart),
            hidden,
            populations,
            seconds,
        )
        return _measured_of(model, player, hidden, found)
    other, instead = twin_of(copies, hidden)
    apart = [difference(copies, r, copies.replaced(r, instead)) for r in mine]
    found = extremes(
        copies,
        player,
        _apart(copies, player, outputs, apart),
        replace(hidden, sources=(*hidden.sources, *other.sources)),
        populations,
        seconds,
    )
    result = _measured_of(model, player, hidden, found)
    return replace(
        result,
        lower=0.5 * found.lower,  # of two players one is at least half of it from the mean
        mean=(0.0, result.upper),
        centred=None if result.centred is None else (0.0, result.upper),
        players=None,
        centred_players=None,
        witness=None,
        detail="no exact mean over the traits: bounded by the largest distance of two players",
    )


def _measured_of(model: Model, player: Player, hidden: Hidden, found: Extremes) -> Measured:
    slack = ROUNDING * (1 + found.upper)  # means over traits are rounded
    rows = next((d.given for d in player.draws if d.given is not None), None)
    order = None if rows is None else np.array(model.arrays[rows].values, dtype=np.int64)
    players, centred_players, witness = found.players, found.centred_players, found.witness
    if order is not None and players is not None:
        players = _of_agents(players, order, slack)
        if centred_players is not None:
            centred_players = _of_agents(centred_players, order, slack)
    if witness is not None and order is not None and "player" in witness:
        witness = witness | {"player": int(np.flatnonzero(order == witness["player"])[0])}
    centred = found.centred
    return Measured(
        max(found.lower - slack, 0.0),
        found.upper + slack,
        (max(found.mean[0] - slack, 0.0), found.mean[1] + slack),
        None if centred is None else (max(centred[0] - slack, 0.0), centred[1] + slack),
        found.upper + slack,
        0.0,
        players,
        centred_players,
        witness,
        found.method,
        tuple(t.name for t in hidden.traits),
        _declared(model, hidden),
        boxes=found.boxes,
    )


def _of_agents(rows: np.ndarray, order: np.ndarray, slack: float) -> np.ndarray:
    """Enclosures of the agents from those of the different rows of their files."""
    ends = rows[order]
    return np.stack([np.maximum(ends[:, 0] - slack, 0.0), ends[:, 1] + slack], -1)


def _declared(model: Model, hidden: Hidden) -> Place | None:
    """Where the first of the traits is written."""
    first = hidden.traits[0]
    leaves = [i for i, n in enumerate(model.nodes) if n.op == "trait" and n.attr == first.name]
    nodes = [n for n in (first.start, first.initial, *leaves) if n is not None]
    return next((p for n in nodes if (p := place_of(model, n)) is not None), None)


def _of_weights(model: Model, player: Player, copies: Copies, outputs: Outputs) -> Measured:
    found = weighted(copies, model, player, outputs)
    attained = 1.0 if outputs.sharp else 0.0  # else distances are bounds from above only
    low, high = attained * found.players[:, 0], found.players[:, 1]
    centred = None
    if found.centred is not None:
        top = float(found.centred.max())
        centred = (0.0, top)
    return Measured(
        float(low.max()),
        float(high.max()),
        (float(low.mean()), float(high.mean())),
        centred,
        float(found.heterogeneity.max()),
        float(found.anonymity.max()),
        np.stack([low, high], -1),
        None if found.centred is None else np.stack([0 * found.centred, found.centred], -1),
        found.witness if outputs.sharp else None,
        ("half-sum of the weights",),
        tuple(w.name for w in player.weights),
    )


def _largest_possible(model: Model, player: Player, what: str, seconds: float) -> float:
    """2 between laws; the span of a reward."""
    if what == "dynamics":
        return LARGEST_L1
    subject = subject_of(model, player, what)
    assert subject is not None
    low, high = value_range(model, [t.node for t in subject.terms], seconds)
    return high - low


def value_range(model: Model, roots: list[int], seconds: float = 1.0) -> tuple[float, float]:
    """An enclosure of the sum of some expressions over everything; infinite where none is found.

    A search knows the others as the law of all. An agent alone has none, whose means are 0, so what
    reads them is enclosed operator by operator.
    """
    copies = Copies(facts_of(model))
    if any("others" in copies.nodes[i].op for i in reachable(copies.nodes, roots)):
        axes = choose_axes(copies.facts, leaves_of(copies.nodes, roots))
        found = Evaluator(copies.facts, axes).value(total(copies, roots))
        return float(np.min(found.lo)), float(np.max(found.hi))
    ends = []
    for least in (True, False):
        try:
            problem = LargestValue(make_tape(copies.facts, [total(copies, roots)]), least)
            ends.append(problem.found(Budget(seconds=seconds)).upper)
        except Unsupported:
            ends.append(inf)
    return -ends[0], ends[1]
