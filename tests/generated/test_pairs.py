"""Agents in pairs, who begin alike and meet the opposite noise."""

import torch

from mfdsl.game import load
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
