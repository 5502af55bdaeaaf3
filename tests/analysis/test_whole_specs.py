"""Constants of random specs of two populations, against slopes that the interpreter finds.

MFDSL_SPECS says how many specs there are, 6 by default. Seeds are fixed.
"""

import os
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise, product

import pytest

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.interpret import Environment, Member, evaluate, values_of
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import given
from tests.analysis.whole_specs import Writer

COUNT = int(os.environ.get("MFDSL_SPECS", "6"))
MEMBERS, PAIRS, UNIT = 3, 30, 2.0**-20
ROUNDING = 1e-9  # of values at pairs that are not closer than UNIT

Law = list[tuple[dict[tuple[str, str], float], float]]
Outcomes = list[tuple[float, tuple[float, ...]]]


def variables(player: Player) -> Iterator[tuple[tuple[str, str], int]]:
    yield from ((("state", v.name), v.type) for v in player.states)
    yield from ((("action", v.name), v.type) for v in player.actions)


def drawn(source: random.Random, kind: Type) -> float:
    if kind.finite:
        return source.choice(values_of(kind))
    assert kind.lo is not None and kind.hi is not None
    return source.choice([kind.lo, kind.hi, source.uniform(kind.lo, kind.hi)])


def member(source: random.Random, model: Model, player: Player) -> dict[tuple[str, str], float]:
    return {key: drawn(source, model.types[kind]) for key, kind in variables(player)}


def law(source: random.Random, model: Model, player: Player) -> Law:
    """Members with masses that are multiples of UNIT and add up to 1 exactly."""
    cuts = sorted(source.randrange(int(1 / UNIT) + 1) for _ in range(MEMBERS - 1))
    ends = [0, *cuts, int(1 / UNIT)]
    masses = [(b - a) * UNIT for a, b in pairwise(ends)]
    return [(member(source, model, player), mass) for mass in masses]


def moved(
    source: random.Random, model: Model, player: Player, start: Law, norm: str
) -> tuple[Law, float]:
    """A law close to another or not, and no less than their distance: mass that goes from one
    member to another, or a member that goes to another place.
    """
    found, (i, j) = list(start), source.sample(range(MEMBERS), 2)
    real = [k for k, kind in variables(player) if not model.types[kind].finite]
    (one, mass), (other, rest) = found[i], found[j]
    if norm == "W1" and real and source.random() < 0.5:
        key = source.choice(real)
        kind = model.types[dict(variables(player))[key]]
        found[i] = ({**one, key: drawn(source, kind)}, mass)
        return found, mass * abs(found[i][0][key] - one[key])
    step = int(mass / UNIT * source.choice([1.0, 0.1, 0.01])) * UNIT
    found[i], found[j] = (one, mass - step), (other, rest + step)
    if norm == "l1":
        return found, 2 * step
    away = sum((one[k] - other[k]) ** 2 for k in real) ** 0.5
    return found, step * (away + any(one[k] != other[k] for k in one if k not in real))


def outcomes(model: Model, player: Player, own: Member, laws: Mapping[str, Law]) -> Outcomes:
    """Mean rewards and next states: masses of what the noises of a player make of one member."""
    found = []
    kinds = [values_of(model.types[n.type]) for n in player.noises]
    for values in product(*kinds):
        noises = {("noise", n.name): v for n, v in zip(player.noises, values, strict=True)}
        here = Environment(own={**own, **noises}, laws=laws)
        mass = 1.0
        for noise in player.noises:
            mass *= evaluate(model, given(noise.density), here)
        nodes = [*(given(s.next) for s in player.states), player.rewards[0].node]
        found.append((mass, tuple(float(evaluate(model, n, here)) for n in nodes)))
    return found


def apart(model: Model, player: Player, what: str, one: Outcomes, other: Outcomes) -> float:
    """A bound from below of the distance of mean rewards, or of laws of next states: l1 where all
    are finite, else W1, which no mean and no half of an l1 distance exceeds.
    """

    def mean(found: Outcomes, k: int) -> float:
        return sum(mass * values[k] for mass, values in found)

    if what == "reward":
        return abs(mean(one, -1) - mean(other, -1))
    finite = [model.types[s.type].finite for s in player.states]
    kept = [k for k, f in enumerate(finite) if f]
    masses: dict[tuple[float, ...], float] = {}
    for sign, found in ((1, one), (-1, other)):
        for mass, values in found:
            key = tuple(values[k] for k in kept)
            masses[key] = masses.get(key, 0.0) + sign * mass
    l1 = sum(map(abs, masses.values()))
    if all(finite):
        return l1
    real = [k for k, f in enumerate(finite) if not f]
    return max(l1 / 2, sum((mean(one, k) - mean(other, k)) ** 2 for k in real) ** 0.5)


def steepest(model: Model, player: Player, what: str, moving: Player, norm: str) -> float:
    """The largest slope in the law of a population that random pairs have."""
    source, best = random.Random(0), 0.0
    for _ in range(PAIRS):
        laws = {p.name: law(source, model, p) for p in model.populations}
        other, distance = moved(source, model, moving, laws[moving.name], norm)
        own = member(source, model, player)
        if distance >= UNIT:
            ends = (outcomes(model, player, own, m) for m in (laws, {**laws, moving.name: other}))
            best = max(best, (apart(model, player, what, *ends) - ROUNDING * distance) / distance)
    return best


def asked(model: Model) -> Iterator[tuple[Player, str, Player, Certificate]]:
    for player, what, moving in product(
        model.populations, ("reward", "dynamics"), model.populations
    ):
        question = f"{player.name}: lipschitz({what}, {moving.handle})"
        (found,) = answers(model, question, seconds=0.05)
        yield player, what, moving, found


@pytest.mark.parametrize("seed", range(8, 8 + 2 * COUNT, 2))  # 10 and 18 showed mistakes
def test_no_slope_is_above_a_proved_constant(seed: int) -> None:
    text = Writer(random.Random(seed)).text()
    model = compile_text(text).require_model()
    for player, what, moving, found in asked(model):
        if found.upper is not None:
            norm = "l1" if (found.norm or "").startswith("l1") else "W1"
            slope = steepest(model, player, what, moving, norm)
            assert slope <= found.upper * (1 + 1e-6) + 1e-6, (player.name, found.claim, text)
