"""Agents in pairs, who meet the opposite noise, and draws that have nothing to do with others."""

from pathlib import Path

import torch

from mfdsl.game import load
from mfdsl.runtime.learning.generated.responses import Exact
from tests.generated.lessons import learner_of


def test_pairs_stay_around_the_path_without_noise() -> None:
    """Who rests in the rotating target moves by noise alone, so that the middle of a pair stays."""
    learner = learner_of(load("rotating_target"), crowd=8, paths=16)
    points, arena = learner.crowd(8, 3), learner.arena

    def walks(*, paired: bool) -> torch.Tensor:
        turns = arena.turns(points, 7, 2, learner.responder.act, paired=paired)
        states = [turn.meeting.scene.state for turn in turns]
        return torch.stack([learner.space.points(state)[0, 8:] for state in states])

    alone, found = walks(paired=False), walks(paired=True)
    assert torch.equal(found[:, :4], alone[:, :4])  # three pairs, and one without a partner
    middle = (found[:, 1:4] + found[:, 4:]) / 2
    assert torch.allclose(middle, middle[:1].expand_as(middle), atol=1e-5)
    assert torch.equal(found[0, 1:4], found[0, 4:])
    assert float((found[-1, 1:4] - found[-1, 4:]).abs().min()) > 0.01


def test_noise_of_those_who_learn_is_uncorrelated_with_that_of_the_steps_before() -> None:
    """Resting agents: 32 of them before their opposites, two axes, 8 steps back. Draws that were
    so, those of the first step, keep their signs.
    """
    learner = learner_of(load("rotating_target"), crowd=8, paths=16)
    points, arena = learner.crowd(8, 3), learner.arena

    def moves(*, paired: bool) -> torch.Tensor:
        turns = arena.turns(points, 64, 2, learner.responder.act, paired=paired)
        states = [turn.meeting.scene.state for turn in turns]
        paths = torch.stack([learner.space.points(state)[0, 8:40] for state in states])
        return (paths[1:] - paths[:-1]).transpose(0, 1).flatten(1) / 0.025**0.5

    alone, found = moves(paired=False), moves(paired=True)
    near = torch.arange(40)[:, None] // 2 - torch.arange(40) // 2
    products = (found.T @ found / 32)[near.abs() < 9]
    assert torch.allclose(products, torch.eye(40)[near.abs() < 9], atol=1e-4)
    assert float((alone.T @ alone / 32 - torch.eye(40)).abs().max()) > 0.3
    assert float((alone[:, 0] * found[:, 0]).min()) > 0


def test_means_of_kept_paths_have_no_noise() -> None:
    """They are those of the policy's recursion, in each of three games of 64 agents."""
    learner = learner_of(
        load(Path("bench/papers/tracking.mfg")),
        vary="m0=-1..3",
        contexts=3,
        crowd=64,
        paths=192,
        fit_steps=1,
    )
    learner.step(0)
    assert learner.paths is not None and isinstance(learner.responder, Exact)
    means = learner.paths.reshape(21, 3, 64).mean(2)
    actor = learner.responder.actor
    slope = (actor.gain + actor.tilt)[:, 0, 0, None]
    wanted = 1.1 * means[:-1] + 0.5 * (slope * means[:-1] + actor.offset)
    assert torch.allclose(means[1:], wanted, atol=1e-5)
