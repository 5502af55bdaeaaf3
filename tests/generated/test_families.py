"""Families of games: what varies, what agents are told, and one policy for all of them."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.papers.gd_families import TRACKING
from mfdsl.game import Game, load
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated.family import family_of, lasting
from mfdsl.runtime.learning.generated.frozen import mingled, walked
from mfdsl.runtime.learning.generated.judging import gain_against, own_gap
from mfdsl.runtime.learning.generated.learner import GeneratedField, warmed
from mfdsl.runtime.learning.generated.network_responses import Networks
from mfdsl.runtime.learning.generated.quadratic import respond
from mfdsl.runtime.learning.generated.responses import Exact, regressed
from mfdsl.runtime.learning.generated.transfer import state_of
from mfdsl.runtime.learning.sight import model_of, sights_of
from tests.generated.lessons import learner_of, lesson_of

SMALL = {"crowd": 128, "paths": 128, "fit_steps": 3, "fit_batch": 32, "contexts": 3}
STARTS = "m0=-1..3 v0=0.5..1.5"
SPEC = str(TRACKING)
"""a = -K x + k m at t = 0 and 9 of the game in the limit (`bench/lq_gains.py`)."""
GAINS = {0: (0.835781668769, 0.172460000059), 9: (0.835775026169, 0.173340126561)}


@cache
def tracking() -> Game:
    """Everybody tracks the mean, compiled once."""
    return load(SPEC)


def small(**options: Any) -> GeneratedField:
    """A learner in the middle of a long course, so that nobody audits it."""
    return learner_of(tracking(), iterations=50, **{"vary": STARTS, **SMALL, **options})


def test_values_are_spread_over_their_ranges_and_begin_with_the_games_own() -> None:
    family = family_of(lesson_of(tracking()), "m0=-2..2 v0=1..3", 9)
    assert family.values[0].tolist() == [2.0, 1.0]
    places = ((family.values[1:, 0] + 2) / 4 * 8).floor().sort().values
    assert places.tolist() == list(range(8))
    assert not set(family.held[:, 0].tolist()) & set(family.values[:, 0].tolist())
    told = family.told(torch.tensor([[-2.0, 3.0], [0.0, 2.0]]))
    assert told.tolist() == [[-1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ("mean=0..1", "`mean` is no parameter"),
        ("T=5..10", "fixes sizes or the horizon"),
        ("m0", "no name=low..high"),
        ("m0=3..1", "no range"),
        ("m0=-20..20", r"the spec has \[-10.0, 10.0\]"),
        ("m0=1..3 m0=1..3", "twice"),
    ],
)
def test_what_cannot_vary_is_refused(vary: str, words: str) -> None:
    with pytest.raises(LessonError, match=words):
        family_of(lesson_of(tracking()), vary, 4)


def test_parameters_under_a_condition_are_refused() -> None:
    text = Path(SPEC).read_text().replace("objective nash", "assume Qb > Q\nobjective nash")
    lesson = lesson_of(load(text=text))
    with pytest.raises(LessonError, match="stands in a condition"):
        family_of(lesson, "Q=0.1..0.5", 4)
    assert len(family_of(lesson, "m0=0..2", 4).values) == 4


def test_agents_see_the_law_and_what_matters_after_the_start() -> None:
    learner = small(vary="m0=1..3 Q=0.1..0.4")
    assert [r.name for r in lasting(model_of(learner.arena.program), learner.family)] == ["Q"]
    (sight,) = sights_of(learner.arena.program)
    assert [f.name for f in sight.common] == ["t", "Q"]
    assert len(sight.crowds) == 1
    assert isinstance(learner.responder, Networks)
    (alone,) = sights_of(small(vary="").arena.program)
    assert [f.name for f in alone.common] == ["t"] and not alone.crowds


def test_games_of_a_family_are_those_compiled_with_these_values() -> None:
    """Their starts, and exact responses to one law."""
    learner = small(vary="m0=-1..3 v0=0.5..1.5")
    points = learner.crowd(64, 3)
    assert isinstance(learner.responder, Exact)
    for game, (mean, variance) in enumerate(learner.family.values.tolist()):
        apart = learner_of(load(SPEC, params={"m0": mean, "v0": variance}), crowd=64, paths=64)
        start = learner.crowd(64, 3, learner.family.values[game : game + 1])[0]
        assert torch.allclose(start, apart.crowd(64, 3)[0], atol=1e-5)
        assert isinstance(apart.responder, Exact)
        mine, other = (r.probers[k] for r, k in ((learner.responder, game), (apart.responder, 0)))
        offsets = [respond(prober, points[:, 0]).offset for prober in (mine, other)]
        assert torch.allclose(*offsets, atol=1e-9)


def test_finite_games_have_families_too() -> None:
    """PPO that reads the law, and an autoregressive generator that is told who is ill at first."""
    options = {"vary": "mu0=0.1..0.9", "response": "score", "answers": 1, "learners": 16}
    learner = learner_of(load("sis"), iterations=50, **SMALL, **options)
    for k in range(2):
        assert all(value == value for value in learner.step(k).values())
    ill = learner.crowd(400, 3, learner.family.held)[0, :, :, 0].mean(1)
    assert torch.allclose(ill, learner.family.held[:, 0], atol=0.12)
    with pytest.raises(LessonError, match="tables answer the law of one game"):
        learner_of(load("sis"), vary="mu0=0.1..0.9", response="tables")


def test_slopes_in_the_mean_are_read_off_the_family() -> None:
    draws = torch.Generator().manual_seed(0)
    means = torch.randn(5, 3, 2, generator=draws, dtype=torch.float64)
    slope = torch.randn(3, 4, 2, generator=draws, dtype=torch.float64)
    values = 1 + torch.einsum("tkd,ctd->ctk", slope, means)
    constant, found = regressed(values, means)
    assert torch.allclose(found, slope, atol=1e-5) and torch.allclose(
        constant, torch.ones_like(constant), atol=1e-5
    )
    constant, found = regressed(values[:1], means[:1])
    assert torch.equal(constant, values[0]) and not found.any()


@pytest.mark.parametrize("response", ["quadratic", "path"])
def test_a_family_goes_on_exactly(response: str) -> None:
    more = {"response": response, "answers": 2, "learners": 16}
    whole, first = small(**more), small(**more)
    for k in range(3):
        whole.step(k)
    first.step(0)
    second = small(**more)
    second.restore({name: value.clone() for name, value in first.state().items()})
    for k in range(1, 3):
        second.step(k)
    left, right = whole.state(), second.state()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_one_policy_has_the_gains_of_the_closed_form() -> None:
    """With many agents in the place of the generator: responses to the flows of the policy."""
    learner = small(contexts=4)
    responder = learner.responder
    assert isinstance(responder, Exact)
    for k in range(14):
        flows = [learner.flow_in(row, 4000, 7 + k) for row in learner.family.values]
        responder.improve(learner.generator, torch.stack(flows, 1), k)
    for t, (own, mean) in GAINS.items():
        assert -float(responder.actor.gain[t]) == pytest.approx(own, rel=1e-6)
        assert float(responder.actor.tilt[t]) == pytest.approx(mean, rel=0.05)
    gaps = [learner.gap_at(row) for row in learner.family.held]
    assert all(gap is not None and gap < 1e-3 for gap in gaps)


def test_generated_laws_come_to_the_gains_of_the_closed_form_at_late_times() -> None:
    """Means at late times are small and follow those before: laws that lag are far off there."""
    learner = small(contexts=4, crowd=2048, paths=8192, fit_steps=1, vary="m0=-1..3")
    for k in range(12):
        learner.step(k)
    responder = learner.responder
    assert isinstance(responder, Exact)
    for t, (_, mean) in GAINS.items():
        assert float(responder.actor.tilt[t]) == pytest.approx(mean, rel=0.1)


def test_agents_among_themselves_are_paid_as_against_their_own_law() -> None:
    learner = small(vary="")
    arena, behaviour = learner.arena, learner.behaviour()
    paths, paid = mingled(arena, behaviour, 4000, 5)
    assert torch.equal(paths, learner.flow(4000, 5))
    again, other = walked(arena, learner.responder.act, paths[:, None], 4000, 6)
    for one, two in ((paid, other), (paths[-1, :, 0], again[-1, :, 0])):
        assert abs(float(one.mean() - two.mean())) < 5 * float(one.std()) * (2 / 4000) ** 0.5


def test_any_policy_of_a_quadratic_game_is_judged_exactly() -> None:
    """What networks lose is what their return lacks, with the same draws."""
    learner = small(vary="", response="path")
    points = learner.crowd(128, 3)
    other = small(vary="")
    other.responder.improve(other.generator, points, 0)
    paid = [one.walk(points, 20_000, 9).paid for one in (other, learner)]
    lost = paid[0] - paid[1]
    gain = gain_against(learner.arena, learner.responder.act, points[:, 0])
    assert gain is not None
    assert abs(gain - float(lost.mean())) < 5 * float(lost.std()) / 20_000**0.5
    steep = learner_of(load("double_well"), crowd=64, paths=64)
    assert own_gap(steep.arena, steep.responder.act, steep.behaviour()) is None


def test_a_course_may_begin_with_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line; and runs that do not fit are refused."""
    from mfdsl.cli import run as main

    given = {**SMALL, "vary": STARTS, "evaluate_games": 2, "evaluate_agents": 20}

    def solve(**more: Any) -> int:
        options = [part for k, v in {**given, **more}.items() for part in ("--opt", f"{k}={v}")]
        argv = ["solve", SPEC, "--solver", "gd_mfrl", "--iterations", "1", "--out", str(tmp_path)]
        return main([*argv, *options])

    assert solve() == 0
    (run,) = tmp_path.iterdir()
    assert solve(begin=run) == 0
    capsys.readouterr()
    assert solve(begin=tmp_path) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert main(["simulate", SPEC, "--policy", str(run), "--agents", "20", "--set", "m0=-5"]) == 0
    with pytest.raises(LessonError, match=r"has `vary` = `m0=-1..3 v0=0.5..1.5`"):
        state_of(str(run), "m0=0..2 v0=0.5..1.5")
    with pytest.raises(LessonError, match="as paths, and this one keeps"):
        warmed(small(contexts=4), state_of(str(run), STARTS))
    with pytest.raises(LessonError, match="other networks"):
        warmed(small(width=32), state_of(str(run), STARTS))
