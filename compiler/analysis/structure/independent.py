"""What does not depend on the law of a population, or of any: by its text, by algebra, or not at
all.

The algebra is a normal form in which what cancels, or is multiplied by 0, is gone. Two laws at
which a reward, or the chance of a next state, differs for certain refute.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, product as joint

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Verdict, Witness
from mfdsl.compiler.analysis.lipschitz import Subject
from mfdsl.compiler.analysis.structure.legal import Mask, legal_part, masks_of
from mfdsl.compiler.analysis.structure.moving import drawers
from mfdsl.compiler.analysis.structure.stages import (
    draws_from_law,
    is_noisy,
    is_of_law,
    mean_of,
    reads_law,
)
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic import decimals
from mfdsl.compiler.analysis.symbolic.decimals import Range, UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Law, Point, value_at
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.points import points, shown
from mfdsl.compiler.analysis.symbolic.polynomials import polynomials
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, written_out
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model, NoiseVariable, Place, Player
from mfdsl.compiler.ir.walk import MEMBERS, given, reachable

POINTS = 24
SECONDS = 1.0
MAX_OUTCOMES = 64
Failed = (UnsupportedError, TooLargeError, TooManyNodes)


@dataclass(frozen=True)
class Source:
    """The laws that something may depend on, None for all, under the name of a claim."""

    name: str
    laws: frozenset[str] | None


ANY = Source("mu", None)


def laws_of(model: Model, name: str) -> Source | None:
    """The laws of the populations of a name, a handle or a family; None without any."""
    found = [p.name for p in model.populations if name in (p.handle, p.name, p.family)]
    return Source(name, frozenset(found)) if found else None


def nodes_of(model: Model, copies: Copies, subject: Subject) -> list[int]:
    """The terms of a subject, those of rewards as means over their noises."""
    if not subject.paid or subject.owner is None:
        return [term.node for term in subject.terms]
    return [mean_of(model, copies, term.node, subject.owner) for term in subject.terms]


def independent_value(
    model: Model,
    copies: Copies,
    name: str,
    nodes: Sequence[int],
    *,
    player: Player | None = None,
    seconds: float = SECONDS,
    source: Source = ANY,
) -> Certificate:
    """The certificate `independent(NAME, mu)` of a sum of nodes: a reward, a `let`."""
    started = time.perf_counter()
    reading = [n for n in nodes if reads_law(copies.facts, n, source.laws)]
    asked = _Reading(model, copies, reading, player, started + seconds, source.laws)
    verdict, method, reason, witness, detail = _decided(asked)
    drawn = any(draws_from_law(copies.facts, model.players, n) for n in nodes)
    if drawn and verdict == "proved":
        verdict, reason = "unknown", "unsupported"
        detail = "it reads a noise, and chances of noises depend on a law"
    return Certificate(
        claim=f"independent({name}, {source.name})",
        subject=name,
        source=source.name,
        verdict=verdict,
        method=(method,),
        rigor="exact",
        witness=witness,
        reason=reason,
        detail=detail,
        culprit=_place(model, reading) if verdict != "proved" else None,
        seconds=round(time.perf_counter() - started, 6),
    )


Decision = tuple[Verdict, str, Reason | None, Witness | None, str | None]


@dataclass(frozen=True)
class _Reading:
    """Expressions of a player that read a law, and until when they are looked at."""

    model: Model
    copies: Copies
    nodes: Sequence[int]
    player: Player | None
    deadline: float
    laws: frozenset[str] | None


def _decided(asked: _Reading) -> Decision:
    copies, reading, player = asked.copies, asked.nodes, asked.player
    if not reading:
        return "proved", "reads no law", None, None, None
    try:
        legal = [player.legal] if player is not None and player.legal is not None else []
        terms, nodes = written_out(copies.facts, [*reading, *legal], bind=True)
        roots, where = nodes[: len(reading)], nodes[len(reading) :]
        whole = terms.builder.add("add", sorted(roots)) if len(roots) > 1 else roots[0]
        if not _moves(terms, whole, asked.laws):
            return "proved", "normal form without a law", None, None, None
        if any(is_noisy(copies.facts, n) for n in reading):
            raise UnsupportedError("a reward that reads a noise and a law")
        masks = masks_of(asked.model, copies)
        varied = _Varied(masks, asked.laws, asked.deadline)
        witness = _two_laws(terms, [whole], where, varied)
    except Failed as error:
        return "unknown", "normal form", "unsupported", None, str(error)
    if witness is not None:
        return "refuted", "two laws, in decimal intervals", None, witness, None
    return "unknown", "normal form", "unsupported", None, "no two laws were found that differ"


def _moves(terms: Terms, root: int, laws: frozenset[str] | None) -> bool:
    """Whether the normal form of a term has a factor that reads a law."""
    found = polynomials(terms, [root], opaque=True)
    assert found is not None
    used = {
        v
        for exponents in found[0].terms
        for v, e in zip(found[0].variables, exponents, strict=True)
        if e
    }
    return any(is_of_law(terms.nodes[i], laws) for i in reachable(terms.nodes, used))


@dataclass(frozen=True)
class _Varied:
    """Which laws two points may differ in (None: all), and the masks of all populations."""

    masks: Mapping[str, Mask | None]
    laws: frozenset[str] | None
    deadline: float


def _two_laws(
    terms: Terms, roots: Sequence[int], where: Sequence[int], varied: _Varied
) -> Witness | None:
    """Two laws at which one of the terms differs, at a legal point."""
    for here, laws in _law_pairs(terms, [*roots, *where], varied):
        for root in roots:
            try:
                if any(value_at(terms, c, here)[0] < 1 for c in where):
                    continue
                one = value_at(terms, root, here)
                other = value_at(terms, root, Point(here.own, laws))
            except UndefinedError:
                continue
            if _apart(one, other):
                return _witness(here, laws, one, other)
    return None


def _law_pairs(
    terms: Terms, roots: Sequence[int], varied: _Varied
) -> Iterator[tuple[Point, Mapping[str, Law]]]:
    """Points, each with a second law: another one, or all members as oneself is. Members of laws
    have legal actions.
    """
    for one, others in _any_pairs(terms, roots):
        if time.perf_counter() > varied.deadline:
            return
        first, second = legal_part(varied.masks, one.laws), legal_part(varied.masks, others)
        if first is not None and second is not None:
            if varied.laws is not None:
                second = {n: second[n] if n in varied.laws else first[n] for n in first}
            yield Point(one.own, first), second


def _any_pairs(terms: Terms, roots: Sequence[int]) -> Iterator[tuple[Point, Mapping[str, Law]]]:
    for one, other in pairwise(points(terms, roots, POINTS)):
        yield one, other.laws
        alike: dict[str, Law] = {}
        for name, law in one.laws.items():
            member = {
                key: one.own.get((key[0].removeprefix("peer_"), *key[1:]), value)
                for key, value in law[0][1].items()
            }
            alike[name] = [(Fraction(1), member)]
        yield one, alike


def _apart(one: Range, other: Range) -> bool:
    return one[1] < other[0] or other[1] < one[0]


def _witness(here: Point, laws: Mapping[str, Law], one: Range, other: Range) -> Witness:
    found: Witness = dict(shown(here))
    second = shown(Point({}, laws))
    found |= {f"other {name}": text for name, text in second.items()}
    return found | {"value": float(one[0]), "other value": float(other[0])}


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
    started = time.perf_counter()
    if len(model.players) == 1:
        player = None
    asked = model.players if player is None else (player,)
    laws = source.laws
    reading = [(p, n) for p in asked for n in _moving(p) if reads_law(copies.facts, n, laws)]
    verdict: Verdict = "proved"
    method, detail, witness = "reads no law", None, None
    reason: Reason | None = None
    drawn = None if player is None else _drawn_from(model, copies, player, laws)
    if drawn is not None:
        verdict, reason = "unknown", "unsupported"
        detail = f"it reads a noise of `{drawn}`, and its chances depend on the law"
    for owner in dict.fromkeys(p.name for p, _ in reading) if drawn is None else ():
        own = model.player(owner)
        verdict, method, reason, witness, detail = _dynamics(
            model, copies, own, laws, started + seconds
        )
        if verdict != "proved":
            break
    return Certificate(
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
        culprit=_place(model, [n for _, n in reading]) if verdict != "proved" else None,
        seconds=round(time.perf_counter() - started, 6),
    )


def _moving(player: Player) -> list[int]:
    """Next states and chances of noises."""
    nexts = [given(s.next) for s in player.states]
    return nexts + [n.density for n in player.noises if n.density is not None]


def _drawn_from(
    model: Model, copies: Copies, player: Player, laws: frozenset[str] | None
) -> str | None:
    """Another player whose noises the moves of a player read, with chances that read a law."""
    open_ = [(root, player.name) for root in _moving(player)]
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
    below = reachable(copies.nodes, _moving(player))
    return any(copies.nodes[i].op == "peer_noise" for i in below)


def _dynamics(
    model: Model,
    copies: Copies,
    player: Player,
    laws: frozenset[str] | None,
    deadline: float,
) -> Decision:
    roots = _moving(player)
    if any(copies.types[s.type].dims for s in player.states):
        return "unknown", "normal form", "unsupported", None, "next states that are arrays"
    try:
        legal = [player.legal] if player.legal is not None else []
        terms, nodes = written_out(copies.facts, [*roots, *legal], bind=True)
        moving, where = nodes[: len(roots)], nodes[len(roots) :]
        if not any(_moves(terms, n, laws) for n in moving):
            return "proved", "normal form without a law", None, None, None
        masks = masks_of(model, copies)
        varied = _Varied(masks, laws, deadline)
        witness = _two_kernels(model, terms, player, moving, where, varied)
    except Failed as error:
        return "unknown", "normal form", "unsupported", None, str(error)
    if witness is not None:
        return "refuted", "two laws, in decimal intervals", None, witness, None
    return "unknown", "normal form", "unsupported", None, "no two laws were found that differ"


def _two_kernels(
    model: Model,
    terms: Terms,
    player: Player,
    moving: Sequence[int],
    where: Sequence[int],
    varied: _Varied,
) -> Witness | None:
    """Two laws under which the next state has another law, for certain."""
    nexts, densities = moving[: len(player.states)], moving[len(player.states) :]
    finite = [n for n in player.noises if n.density is not None]
    smooth = [n for n in player.noises if n.density is None]
    if smooth:
        return (
            _shifted(terms, nexts, where, varied)
            if not any(_moves(terms, d, None) for d in densities)
            else None
        )
    for here, laws in _law_pairs(terms, [*moving, *where], varied):
        try:
            if any(value_at(terms, c, here)[0] < 1 for c in where):
                continue
            there = Point(here.own, laws)
            one = _kernel(model, terms, player, finite, nexts, densities, here)
            other = _kernel(model, terms, player, finite, nexts, densities, there)
        except UndefinedError:
            continue
        zero = (Decimal(0), Decimal(0))
        for state in {**one, **other}:
            before, after = one.get(state, zero), other.get(state, zero)
            if _apart(before, after):
                shown_state = ", ".join(map(str, state))
                return {"next": shown_state, **_witness(here, laws, before, after)}
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


def _shifted(
    terms: Terms, nexts: Sequence[int], where: Sequence[int], varied: _Varied
) -> Witness | None:
    """Two laws that move a next state by a number that no noise changes: its law moves with it."""
    for node in nexts:
        found = polynomials(terms, [node], opaque=True)
        assert found is not None
        mixed = False
        for exponents in found[0].terms:
            used = [v for v, e in zip(found[0].variables, exponents, strict=True) if e]
            below = [terms.nodes[i] for i in reachable(terms.nodes, used)]
            law = any(n.op in MEMBERS for n in below)
            mixed |= law and any("noise" in n.op for n in below)
        if not mixed and _moves(terms, node, varied.laws):
            witness = _two_laws(terms, [node], where, varied)
            if witness is not None:
                return witness
    return None


def independent(parts: Sequence[Certificate]) -> Certificate:
    """The certificate `independent`: neither rewards nor dynamics depend on a law."""
    verdict: Verdict = "proved"
    if any(p.verdict == "refuted" for p in parts):
        verdict = "refuted"
    elif any(p.verdict != "proved" for p in parts):
        verdict = "unknown"
    first = next((p for p in parts if p.verdict == verdict), None)
    return Certificate(
        claim="independent",
        subject="game",
        source="mu",
        verdict=verdict,
        method=("rewards and dynamics",),
        rigor="exact",
        witness=first.witness if first is not None and verdict == "refuted" else None,
        reason=first.reason if first is not None and verdict == "unknown" else None,
        detail=f"{first.claim} {first.verdict}"
        if first is not None and verdict != "proved"
        else None,
        culprit=first.culprit if first is not None else None,
        obligations=tuple(parts),
    )


def _place(model: Model, nodes: Sequence[int]) -> Place | None:
    """Where the first mean below some nodes is written."""
    for i in reachable(model.nodes, [n for n in nodes if n < len(model.nodes)]):
        if model.nodes[i].op in MEMBERS and model.places[i] is not None:
            return model.places[i]
    return None
