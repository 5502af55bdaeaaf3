"""Exact responses to laws, beside closed forms and beside answers found otherwise."""

from typing import Any

import pytest
import torch

from mfdsl.game import load
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated.frozen import arena_of, doubled
from mfdsl.runtime.learning.generated.network_responses import Networks
from mfdsl.runtime.learning.generated.quadratic import (
    Prober,
    probes,
    quadratic_through,
    respond,
)
from mfdsl.runtime.learning.generated.space import space_of
from tests.generated.lessons import learner_of, lesson_of


def prober(name: str, **params: float) -> Prober:
    game = load(name, params=params)
    return Prober(doubled(arena_of(lesson_of(game), space_of(game.agents), 0)))


def test_a_quadratic_function_is_read_off_its_values() -> None:
    draws = torch.Generator().manual_seed(0)
    root = torch.randn(4, 4, generator=draws, dtype=torch.float64)
    bend, slope = root + root.T, root[0]

    def value(y: torch.Tensor) -> torch.Tensor:
        return 3 + y @ slope + 0.5 * torch.einsum("ni,ij,nj->n", y, bend, y)

    found = quadratic_through(value(probes(4)), 4)
    assert torch.allclose(found.bend, bend) and torch.allclose(found.slope, slope)
    other = torch.randn(10, 4, generator=draws, dtype=torch.float64)
    assert torch.allclose(found.at(other), value(other))


def test_gains_are_those_of_the_closed_forms() -> None:
    found = respond(prober("rotating_target"), torch.zeros(21, 8, 2))
    for t, gain in {0: 1.30632786135, 10: 1.13661943733, 19: 0.0}.items():
        assert found.gain[t, 0, 0].item() == pytest.approx(-gain, abs=1e-7)
        assert abs(found.gain[t, 0, 1].item()) < 1e-9


def test_birds_that_meet_one_by_one_have_the_gains_of_the_closed_forms() -> None:
    points = torch.randn(51, 64, 2, generator=torch.Generator().manual_seed(0)).double()
    found = respond(prober("flocking", d=1), points - points.mean(1, keepdim=True))
    for t, gains in {0: (0.251829706145, 1.17945274837), 49: (0.0, 0.909090909091)}.items():
        assert found.gain[t, 0].tolist() == pytest.approx([-g for g in gains], abs=1e-6)


def test_games_that_are_not_linear_quadratic_are_refused_with_the_reason() -> None:
    with pytest.raises(LessonError, match="states have bounds"):
        prober("double_well")
    with pytest.raises(LessonError, match="finite"):
        prober("sis")
    steep = prober("flocking", d=1, beta=0.7)
    points = torch.randn(51, 64, 2, generator=torch.Generator().manual_seed(0)).double()
    with pytest.raises(LessonError, match="the reward is not that of one"):
        respond(steep, points)


def test_what_an_affine_policy_loses_is_what_its_return_lacks() -> None:
    """The identity of differences, against rewards of agents who walk with the same draws."""
    learner = learner_of(load("rotating_target"), crowd=256, paths=256, fit_steps=1)
    responder = learner.responder
    points = learner.crowd(256, 5)
    responder.improve(learner.generator, points, 0)
    best = learner.walk(points, 20_000, 9).paid
    responder.policy.offset.add_(0.3)  # type: ignore[operator, union-attr]
    worse = learner.walk(points, 20_000, 9).paid
    lost = best - worse
    gain = responder.gain(points[:, 0])
    assert gain is not None
    assert abs(gain - float(lost.mean())) < 4 * float(lost.std()) / 20_000**0.5


def test_networks_along_the_path_come_near_the_exact_response() -> None:
    """From the same law, by their returns against it."""
    game = load("rotating_target")
    exact = learner_of(game, crowd=256, paths=64, fit_steps=1)
    path = learner_of(
        game, iterations=1, crowd=256, paths=64, response="path", answers=60, learning_rate=0.02
    )
    points = exact.crowd(256, 5, path.met)
    exact.responder.improve(exact.generator, points[:, :1], 0)
    path.responder.improve(path.generator, points, 0)
    paid = [one.walk(points[:, :1], 4000, 9).paid for one in (exact, path)]
    still = learner_of(game, crowd=256, paths=64, response="path").walk(points[:, :1], 4000, 9).paid
    reached = (paid[1].mean() - still.mean()) / (paid[0].mean() - still.mean())
    assert 0.9 < float(reached) <= 1.005


def test_what_is_left_of_steps_along_the_path_is_the_mean_of_the_later_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = learner_of(
        load("rotating_target"), crowd=64, paths=64, response="path", answers=5, learners=8
    )
    responder = learner.responder
    assert isinstance(responder, Networks)

    def step(self: Networks, points: Any, iteration: int, k: int) -> dict[str, float]:
        with torch.no_grad():
            for number in self.parameters:
                number.fill_(float(k))
        return {"answer": 0.0}

    monkeypatch.setattr(Networks, "_along_path", step)
    responder.improve(learner.generator, learner.crowd(64, 5, learner.met), 0)
    assert all(bool((number == 3.0).all()) for number in responder.parameters)


def test_the_crowd_counts_and_learning_agents_do_not() -> None:
    """A step beside a crowd pays what the spec says about the crowd's mean."""
    learner = learner_of(load("rotating_target"), crowd=64, paths=64)
    points = learner.crowd(64, 3)
    (first, *_) = learner.arena.turns(points, 50, 2, learner.responder.act)
    x = learner.space.points(first.meeting.scene.state)[0, 64:]
    mean = points[0, 0].mean(0)
    target = torch.tensor([2.0, 0.0])
    cost = 0.05 * (((x - mean) ** 2).sum(-1) + ((x - target) ** 2).sum(-1))
    assert first.paid is not None
    assert torch.allclose(first.paid[0], -cost, atol=1e-5)  # the untrained policy rests
