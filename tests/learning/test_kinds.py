"""Networks compute once for agents who see the same, and give what they give one by one."""

from dataclasses import replace

import pytest
import torch

import mfdsl
from mfdsl.learning import prepare_training
from mfdsl.runtime.learning.actor import Shape, Trunk
from mfdsl.runtime.learning.encoders import Members
from mfdsl.runtime.learning.experience import collected
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.features import Axis
from mfdsl.runtime.learning.kinds import kinds_of
from mfdsl.runtime.learning.ppo import Critics
from mfdsl.settings import resolve


def test_every_agent_is_like_the_one_that_stands_for_it() -> None:
    alike = torch.randint(3, (2, 4, 20), generator=torch.Generator().manual_seed(0))
    kinds = kinds_of(alike)
    assert kinds is not None
    game = torch.arange(8).repeat_interleave(20)
    both = torch.stack([game, alike.flatten()], 1)
    assert len(torch.unique(both, dim=0)) == len(kinds.rows) <= 24
    assert torch.equal(both[kinds.rows][kinds.of], both)


@pytest.mark.parametrize(
    "alike", [torch.arange(10)[None], torch.tensor([[0, 900]]), torch.zeros(5, 1, dtype=torch.long)]
)
def test_agents_who_differ_are_taken_one_by_one(alike: torch.Tensor) -> None:
    assert kinds_of(alike) is None


def test_a_network_of_kinds_is_that_of_agents_and_has_its_slopes() -> None:
    generator = torch.Generator().manual_seed(2)
    alike = torch.randint(4, (3, 30), generator=generator)
    table = torch.randn(4, 5, generator=generator)
    law = Members(2, (Axis("line", (0,)), Axis("line", (1,))))
    view = View(
        table[alike], torch.randn(3, 2, generator=generator), (torch.randn(3, 7, 2),), (None,)
    )
    trunk = Trunk(5, 2, [law], 6, Shape((16, 8), embedding=4), 1.0).double()
    wide = replace(
        view, own=table[alike].double(), common=view.common.double(), laws=(view.laws[0].double(),)
    )
    slope = torch.randn(3, 30, 6, generator=generator, dtype=torch.float64)
    one, many = trunk(wide), trunk(replace(wide, alike=alike))
    torch.testing.assert_close(many, one)
    parameters = list(trunk.parameters())
    wanted = torch.autograd.grad(one, parameters, slope)
    torch.testing.assert_close(torch.autograd.grad(many, parameters, slope), wanted)


def test_only_agents_with_finite_own_values_are_alike() -> None:
    finite = _experience("mfax_linear_quadratic", "ppo_nash", agents=40)
    own, alike = finite.view.own, finite.view.alike
    assert own is not None and alike is not None and alike.shape == own.shape[:-1]
    place = torch.unique(alike[0, 0], return_inverse=True)[1]
    for kind in range(int(place.max()) + 1):
        same = own[0, 0][place == kind]
        assert torch.equal(same, same[:1].expand_as(same))
    assert len(torch.unique(own[0, 0], dim=0)) == int(place.max()) + 1
    assert _experience("lq_control", "mf_ppo", agents=5, gradient="score").view.alike is None


def test_values_of_some_times_after_others_are_those_of_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    course = _experience("mfax_linear_quadratic", "ppo_nash", agents=40)
    widths = (course.view.own.shape[-1], course.view.common.shape[-1], ())  # type: ignore[union-attr]
    critics = Critics({"agent": widths}, Shape((8,)), single=True)
    whole = critics.values("agent", course.view)
    monkeypatch.setattr("mfdsl.runtime.learning.ppo.MOST_ROWS", 7 * 2 * 40)
    torch.testing.assert_close(critics.along("agent", course.view), whole)


def _experience(spec: str, solver: str, **options: object):  # type: ignore[no-untyped-def]
    """What the only player saw in an episode of two games."""
    game = mfdsl.load(spec)
    given = {"games": 2, "hidden": 8, **options}
    settings = resolve(game.model, solver, iterations=1, options=given)
    learner = prepare_training(game, settings).learner
    found = collected(learner.engine, learner.players, learner.crediting, 1)  # type: ignore[attr-defined]
    (course,) = found.courses.values()
    return course
