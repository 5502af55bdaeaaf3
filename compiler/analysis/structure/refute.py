"""Two laws that show a reward not to be monotone: the inner product of both differences, certified.

The search is untrusted: vertices, mixtures and a direction that somebody suggests. What it finds is
evaluated in decimal intervals, and only an inner product that is above 0 for certain counts.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.structure.masses import Kind
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic import decimals
from mfdsl.compiler.analysis.symbolic.decimals import Range, UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Law, Point, value_at
from mfdsl.compiler.analysis.symbolic.points import FREE, points
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, written_out
from mfdsl.compiler.ir.model import Player

SAMPLES = 12
STEP = Fraction(1, 64)
PAIRS = 40
FEW = 4  # members of a random law

Values = Mapping[tuple[str, str, tuple[int, ...]], Fraction]  # own leaves of a member


@dataclass(frozen=True)
class Rewards:
    """Rewards of several populations as terms, with the mask of each (None: all legal)."""

    terms: Terms
    rewards: Mapping[str, int]
    legal: Mapping[str, int | None]
    players: Sequence[Player]


@dataclass(frozen=True)
class Pair:
    """Two laws by population, with what all share, and bounds of the inner product."""

    one: Mapping[str, Law]
    other: Mapping[str, Law]
    shared: Mapping[Key, Fraction]
    product: Range


def rewards_of(copies: Copies, rewards: Mapping[str, int], players: Sequence[Player]) -> Rewards:
    """The rewards written out, for evaluation at points.

    Raises:
        UnsupportedError, TooManyNodes: they have no written-out form.
    """
    names = list(rewards)
    masks = {p.name: p.legal for p in players}
    legal = [n for name in names if (n := masks[name]) is not None]
    terms, nodes = written_out(copies.facts, [*rewards.values(), *legal], bind=True)
    rest = iter(nodes[len(names) :])
    found = {name: next(rest) if masks[name] is not None else None for name in names}
    return Rewards(terms, dict(zip(names, nodes, strict=False)), found, players)


def inner_product(
    game: Rewards,
    one: Mapping[str, Law],
    other: Mapping[str, Law],
    shared: Mapping[Key, Fraction],
) -> Range:
    """Sum over populations and members of (r(x, one) - r(x, other)) (one - other)(x).

    Raises:
        UndefinedError: a reward has no certified value there.
    """
    parts: list[Range] = []
    for name, reward in game.rewards.items():
        change: dict[frozenset[tuple[Key, Fraction]], Fraction] = {}
        for law, sign in ((one[name], 1), (other[name], -1)):
            for mass, member in law:
                key = frozenset(member.items())
                change[key] = change.get(key, Fraction(0)) + sign * mass
        for kind, mass in change.items():
            if not mass:
                continue
            own = {(op.removeprefix("peer_"), n, at): v for (op, n, at), v in kind} | dict(shared)
            after = value_at(game.terms, reward, Point(own, one))
            before = value_at(game.terms, reward, Point(own, other))
            apart = decimals.add(after, decimals.neg(before))
            parts.append(decimals.multiply(apart, decimals.enclosed(mass)))
    return decimals.add(*parts) if parts else (Decimal(0), Decimal(0))


def rising_pair(
    game: Rewards, seconds: float, more: Sequence["Direction"] = (), *, falling: bool = False
) -> Pair | None:
    """Two laws of legal members with a positive inner product, or with `falling` a negative one.

    None where none is found.
    """
    return _first(game, seconds, more, lambda p: p.product[1] < 0 if falling else p.product[0] > 0)


def level_pair(game: Rewards, seconds: float) -> Pair | None:
    """Two laws of legal members at which some reward differs, though the inner product is not
    below 0; None where none is found.
    """
    return _first(game, seconds, (), lambda p: p.product[0] >= 0 and _pay_differs(game, p))


def _first(
    game: Rewards, seconds: float, more: Sequence["Direction"], good: Callable[[Pair], bool]
) -> Pair | None:
    deadline = counted() + seconds
    try:
        for one, other, shared in _candidates(game, more):
            if late(deadline):
                return None
            try:
                pair = Pair(one, other, shared, inner_product(game, one, other, shared))
                if good(pair):
                    return pair
            except UndefinedError:
                continue
    except UnsupportedError:
        return None
    return None


def _pay_differs(game: Rewards, pair: Pair) -> bool:
    """Whether a member of one of both laws is paid differently at them, for certain.

    Raises:
        UndefinedError: a reward has no certified value there.
    """
    for name, reward in game.rewards.items():
        for _, member in (*pair.one[name], *pair.other[name]):
            own = {(op.removeprefix("peer_"), n, at): v for (op, n, at), v in member.items()}
            own |= pair.shared
            one = value_at(game.terms, reward, Point(own, pair.one))
            other = value_at(game.terms, reward, Point(own, pair.other))
            if one[1] < other[0] or other[1] < one[0]:
                return True
    return False


@dataclass(frozen=True)
class Direction:
    """Kinds of members and how much mass each gains, as an elimination or an eigenvector says."""

    kinds: Sequence[Kind]
    gains: Sequence[float]


Laws = dict[str, Law]


def _candidates(
    game: Rewards, more: Sequence[Direction]
) -> Iterator[tuple[Laws, Laws, Mapping[Key, Fraction]]]:
    kinds, shared = _sampled(game)
    if not all(kinds.values()):
        return
    for direction in more:
        pair = _along(game, direction, shared)
        if pair is not None:
            yield (*pair, shared)
    names = list(kinds)
    for name in names:
        for a, b in combinations(kinds[name], 2):
            rest: Laws = {n: [(Fraction(1), kinds[n][0])] for n in names if n != name}
            for share in (Fraction(1), Fraction(1, 2), STEP):
                one = [(share, a), (1 - share, b)] if share < 1 else [(Fraction(1), a)]
                other: Law = [(Fraction(1), b)]
                yield {**rest, name: one}, {**rest, name: other}, shared
    yield from ((*pair, shared) for pair in _random_pairs(kinds))
    if len(names) > 1:
        for i, j in combinations(range(min(map(len, kinds.values()))), 2):
            first: Laws = {n: [(Fraction(1), kinds[n][i])] for n in names}
            yield first, {n: [(Fraction(1), kinds[n][j])] for n in names}, shared


def _random_pairs(kinds: Mapping[str, Sequence[Values]]) -> Iterator[tuple[Laws, Laws]]:
    """Random laws over few members, far from each other and close by."""
    chance = random.Random(0)
    for _ in range(PAIRS):
        both: list[Laws] = [{}, {}]
        for name, members in kinds.items():
            few = members[:FEW]
            for law in both:
                weights = [chance.randint(0, 8) ** 2 for _ in few]
                weights[chance.randrange(len(few))] += 1
                law[name] = [
                    (Fraction(w, sum(weights)), m) for w, m in zip(weights, few, strict=True)
                ]
        one, other = both
        yield one, other
        near = {
            n: [((7 * b + a) / 8, m) for (a, m), (b, _) in zip(one[n], other[n], strict=True)]
            for n in one
        }
        yield dict(near), other


def _sampled(game: Rewards) -> tuple[dict[str, list[Values]], dict[Key, Fraction]]:
    """Some legal members of each population, and values of all that is not theirs.

    Own values are drawn for each population by itself: those of another may have the same names
    and other types.
    """
    roots = {
        n: [r, *([] if (mask := game.legal[n]) is None else [mask])]
        for n, r in game.rewards.items()
    }
    joint = list(points(game.terms, [n for r in roots.values() for n in r], 4 * SAMPLES))
    if any(k[0] in ("trait", "noise", "weight") for point in joint for k in point.own):
        raise UnsupportedError("members with traits or noises")
    found: dict[str, list[Values]] = {name: [] for name in roots}
    for name, members in found.items():
        alone = joint if len(roots) == 1 else points(game.terms, roots[name], 4 * SAMPLES)
        for point, own in zip(joint, alone, strict=True):
            if len(members) < SAMPLES:
                drawn = _member(game, name, own.own, point)
                if drawn is not None and drawn not in members:
                    members.append(drawn)
    return found, {k: v for k, v in joint[0].own.items() if k[0] not in FREE}


def _member(game: Rewards, name: str, own: Mapping[Key, Fraction], point: Point) -> Values | None:
    """A member with own values, and those that only statistics read; None if it is illegal."""
    player = next(p for p in game.players if p.name == name)
    mine = {("state", s.name) for s in player.states} | {("action", a.name) for a in player.actions}
    values = {k: v for k, v in own.items() if k[:2] in mine}
    law = point.laws.get(name)
    if law:
        for (op, variable, at), v in law[0][1].items():
            values.setdefault((op.removeprefix("peer_"), variable, at), v)
    legal = game.legal[name]
    if legal is not None:
        try:
            if value_at(game.terms, legal, Point(values))[0] < 1:
                return None
        except UndefinedError:
            return None
    return {(f"peer_{op}", variable, at): v for (op, variable, at), v in values.items()}


def _along(
    game: Rewards, direction: Direction, shared: Mapping[Key, Fraction]
) -> tuple[Laws, Laws] | None:
    """The even law, and the law a step along a direction, of kinds that may be there."""
    names = list(game.rewards)
    scale = max((abs(g) for g in direction.gains), default=0.0)
    if not scale:
        return None
    one: dict[str, list[tuple[Fraction, Values]]] = {n: [] for n in names}
    other: dict[str, list[tuple[Fraction, Values]]] = {n: [] for n in names}
    for name in names:
        mine = [
            (k.peer(), Fraction(g / scale).limit_denominator(10**6))
            for k, g in zip(direction.kinds, direction.gains, strict=True)
            if k.population == name
        ]
        if not mine:
            return None
        rest = sum((g for _, g in mine), Fraction(0)) / len(mine)
        even = Fraction(1, len(mine))
        for member, gain in mine:
            one[name].append((even + (gain - rest) * even / 4, member))
            other[name].append((even, member))
    return dict(one), dict(other)


def pair_witness(pair: Pair) -> Witness:
    """Both laws by name, and the inner product rounded towards 0."""
    found: Witness = {k[1] if k[0] != "time" else "t": float(v) for k, v in pair.shared.items()}
    for label, laws in (("law", pair.one), ("other law", pair.other)):
        for name, law in laws.items():
            found[f"{label} of {name}"] = law_text(law)
    found["inner product"] = float(pair.product[0]) + 0.0  # no minus sign before 0
    return found


def law_text(law: Law, most: int = 6) -> str:
    """Masses and members, the largest first."""
    ordered = sorted(law, key=lambda entry: -entry[0])
    parts = []
    for mass, member in ordered[:most]:
        values = ", ".join(_value_text(key, value) for key, value in sorted(member.items()))
        parts.append(f"{mass} at {values or 'any'}")
    return "; ".join(parts) + ("; ..." if len(ordered) > most else "")


def _value_text(key: Key, value: Fraction) -> str:
    place = f"[{', '.join(map(str, key[2]))}]" if key[2] else ""
    return f"{key[1]}{place} = {value}"
