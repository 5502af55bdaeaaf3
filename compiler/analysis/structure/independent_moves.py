"""Moves that do not depend on a law: next states and chances of noises of players."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import product as joint

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Verdict, Witness
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.kernels import finite_moving, moving_noises
from mfdsl.compiler.analysis.structure.independent import (
    ANY,
    SECONDS,
    Failed,
    Source,
    place_of_law,
)
from mfdsl.compiler.analysis.structure.legal import masks_of, of_legal_majors
from mfdsl.compiler.analysis.structure.moving import drawers
from mfdsl.compiler.analysis.structure.stages import reads_law
from mfdsl.compiler.analysis.structure.two_laws import (
    Decision,
    Varied,
    apart,
    law_pairs,
    moves,
    two_laws,
    witness_of,
)
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic import decimals
from mfdsl.compiler.analysis.symbolic.decimals import Range, UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Point, value_at
from mfdsl.compiler.analysis.symbolic.polynomials import polynomials
from mfdsl.compiler.analysis.symbolic.terms import Terms, written_out
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player
from mfdsl.compiler.ir.walk import MEMBERS, given, reachable

MAX_OUTCOMES = 64


def _weighted(copies: Copies, player: Player) -> bool:
    """Whether moves of a player read weights between agents."""
    below = reachable(copies.nodes, _moving(copies, player))
    return any(copies.nodes[i].op == "weight" for i in below)


def independent_dynamics(
    model: Model,
    copies: Copies,
    *,
    seconds: float = SECONDS,
    player: Player | None = None,
    source: Source = ANY,
) -> Certificate:
    """The certificate `dynamics_independent_of_mu` of all players of a model; with a player
    `independent(dynamics, LAW)` of that one, which is the same in a game that has no others.
    """
    started = processor_time()
    if len(model.players) == 1:
        player = None
    asked = model.players if player is None else (player,)
    laws = source.laws
    reading = [
        (p, n) for p in asked for n in _moving(copies, p) if reads_law(copies.facts, n, laws)
    ]
    verdict: Verdict = "proved"
    method, detail, witness = "reads no law", None, None
    reason: Reason | None = None
    drawn = None if player is None else _drawn_from(model, copies, player, laws)
    if drawn is not None:
        verdict, reason = "unknown", "unsupported"
        detail = f"it reads a noise of `{drawn}`, and its chances depend on the law"
    for owner in dict.fromkeys(p.name for p, _ in reading) if drawn is None else ():
        own = model.player(owner)
        here = _dynamics(model, copies, own, laws, counted() + seconds)
        if here[0] == "refuted" and _weighted(copies, own):
            why = "weights are those of the file, and laws were looked for with any"
            here = ("unknown", here[1], "unsupported", None, why)
        if verdict == "proved" or here[0] == "refuted":
            verdict, method, reason, witness, detail = here
        if verdict == "refuted":
            break
    found = Certificate(
        claim="dynamics_independent_of_mu"
        if player is None
        else f"independent(dynamics, {source.name})",
        subject="dynamics" if player is None else f"dynamics of {player.name}",
        source="mu" if player is None else source.name,
        verdict=verdict,
        method=(method,),
        rigor="exact",
        witness=witness,
        reason=reason,
        detail=detail,
        culprit=place_of_law(model, [n for _, n in reading]) if verdict != "proved" else None,
        seconds=round(processor_time() - started, 6),
    )
    return of_legal_majors(model, found)


def _moving(copies: Copies, player: Player) -> list[int]:
    """Next states and chances of the noises that these may depend on."""
    nexts = [given(s.next) for s in player.states]
    return nexts + [given(n.density) for n in finite_moving(copies.nodes, player)]


def _drawn_from(
    model: Model, copies: Copies, player: Player, laws: frozenset[str] | None
) -> str | None:
    """Another player whose noises the moves of a player read, with chances that read a law."""
    open_ = [(root, player.name) for root in _moving(copies, player)]
    seen = set(open_)
    while open_:
        for drawer in drawers(model, copies, *open_.pop()):
            here = {(n.density, drawer.name) for n in drawer.noises if n.density is not None}
            if drawer.name != player.name or drawer.kind == "population":
                peers = drawer.name != player.name or _reads_members(copies, player)
                if peers and any(reads_law(copies.facts, d, laws) for d, _ in here):
                    return drawer.name
            open_ += here - seen
            seen |= here
    return None


def _reads_members(copies: Copies, player: Player) -> bool:
    """Whether moves of a player read noises of members."""
    below = reachable(copies.nodes, _moving(copies, player))
    return any(copies.nodes[i].op == "peer_noise" for i in below)


def _dynamics(
    model: Model,
    copies: Copies,
    player: Player,
    laws: frozenset[str] | None,
    deadline: float,
) -> Decision:
    roots = _moving(copies, player)
    if any(copies.types[s.type].dims for s in player.states):
        return "unknown", "normal form", "unsupported", None, "next states that are arrays"
    try:
        legal = [player.legal] if player.legal is not None else []
        terms, nodes = written_out(copies.facts, [*roots, *legal], bind=True)
        moving, where = nodes[: len(roots)], nodes[len(roots) :]
        if not any(moves(terms, n, laws) for n in moving):
            return "proved", "normal form without a law", None, None, None
        masks = masks_of(model, copies)
        varied = Varied(masks, laws, deadline)
        noises = moving_noises(copies.nodes, player)
        shifts = _reads_others(copies, player) or any(n.density is None for n in noises)
        if shifts:
            nexts, densities = moving[: len(player.states)], moving[len(player.states) :]
            witness = _two_shifts(terms, nexts, densities, where, varied)
        else:
            witness = _two_kernels(model, terms, player, noises, moving, where, varied)
    except Failed as error:
        return "unknown", "normal form", "unsupported", None, str(error)
    if witness is not None:
        return "refuted", "two laws, in decimal intervals", None, witness, None
    return "unknown", "normal form", "unsupported", None, "no two laws were found that differ"


def _reads_others(copies: Copies, player: Player) -> bool:
    """Whether moves read noises of others: not all of their values need to be possible."""
    below = [copies.nodes[i] for i in reachable(copies.nodes, _moving(copies, player))]
    return any(
        n.op == "peer_noise"
        or (n.op == "common_noise" and isinstance(n.attr, tuple) and n.attr[0] != player.name)
        for n in below
    )


def _two_kernels(
    model: Model,
    terms: Terms,
    player: Player,
    noises: Sequence[NoiseVariable],
    moving: Sequence[int],
    where: Sequence[int],
    varied: Varied,
) -> Witness | None:
    """Two laws under which the next state has another law, for certain."""
    nexts, densities = moving[: len(player.states)], moving[len(player.states) :]
    for here, laws in law_pairs(terms, [*moving, *where], varied):
        try:
            if any(value_at(terms, c, here)[0] < 1 for c in where):
                continue
            there = Point(here.own, laws)
            one = _kernel(model, terms, player, noises, nexts, densities, here)
            other = _kernel(model, terms, player, noises, nexts, densities, there)
        except UndefinedError:
            continue
        zero = (Decimal(0), Decimal(0))
        for state in {**one, **other}:
            before, after = one.get(state, zero), other.get(state, zero)
            if apart(before, after):
                shown_state = ", ".join(map(str, state))
                return {"next": shown_state, **witness_of(here, laws, before, after)}
    return None


def _kernel(
    model: Model,
    terms: Terms,
    player: Player,
    noises: Sequence[NoiseVariable],
    nexts: Sequence[int],
    densities: Sequence[int],
    at: Point,
) -> dict[tuple[Fraction, ...], Range]:
    """Chances of next states that are exact numbers.

    Raises:
        UndefinedError: there are too many outcomes, or a next state is not exact.
    """
    op = "noise" if player.kind == "population" else "common_noise"
    prefix = "" if player.kind == "population" else f"{player.name}."
    sizes = [model.types[n.type] for n in noises]
    count = 1
    for type_ in sizes:
        count *= type_.size
    if count > MAX_OUTCOMES:
        raise UndefinedError("too many outcomes")
    found: dict[tuple[Fraction, ...], Range] = {}
    for values in joint(*(range(t.first, t.first + t.size) for t in sizes)):
        drawn: dict[Key, Fraction] = {
            (op, f"{prefix}{n.name}", ()): Fraction(v) for n, v in zip(noises, values, strict=True)
        }
        here = Point({**at.own, **drawn}, at.laws)
        chances = [value_at(terms, d, here) for d in densities]
        chance = decimals.multiply(*chances) if chances else (Decimal(1), Decimal(1))
        if chance == (Decimal(0), Decimal(0)):
            continue
        state = []
        for node in nexts:
            lo, hi = value_at(terms, node, here)
            if lo != hi:
                raise UndefinedError("a next state that is not exact")
            state.append(Fraction(lo))
        key = tuple(state)
        found[key] = decimals.add(found[key], chance) if key in found else chance
    return found


def _two_shifts(
    terms: Terms,
    nexts: Sequence[int],
    densities: Sequence[int],
    where: Sequence[int],
    varied: Varied,
) -> Witness | None:
    """Two laws that move a next state by a number that no noise changes: its law moves with it."""
    if any(moves(terms, d, None) for d in densities):
        return None
    for node in nexts:
        found = polynomials(terms, [node], opaque=True)
        assert found is not None
        mixed = False
        for exponents in found[0].terms:
            used = [v for v, e in zip(found[0].variables, exponents, strict=True) if e]
            below = [terms.nodes[i] for i in reachable(terms.nodes, used)]
            law = any(n.op in MEMBERS for n in below)
            mixed |= law and any("noise" in n.op for n in below)
        if not mixed and moves(terms, node, varied.laws):
            witness = two_laws(terms, [node], where, varied)
            if witness is not None:
                return witness
    return None
