"""Networks that know whose they are: against the same networks written out agent by agent."""

import copy

import pytest
import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.actor import Critic, Shape, Trunk
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.encoders import Members
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.features import Axis
from mfdsl.runtime.learning.heads import Drawn, Head
from mfdsl.runtime.learning.identity import (
    IndividualActor,
    IndividualTrunk,
    OneHotTrunk,
    clip_each,
    maker_of,
    numbered,
)
from mfdsl.runtime.learning.sight import Feature

N, S, OWN, COMMON = 5, 7, 3, 2
LAW = Members(1, (Axis("line", (0,)),))
SHAPE = Shape((8, 6), "tanh", "moments")


def view_of(generator: torch.Generator, laws: bool = True) -> View:
    own = torch.randn(S, N, OWN, generator=generator, dtype=torch.float64)
    common = torch.randn(S, COMMON, generator=generator, dtype=torch.float64)
    members = torch.randn(S, 9, 1, generator=generator, dtype=torch.float64)
    view = View(own, common, (members,) if laws else (), (None,) if laws else ())
    return numbered(view, N, "one_hot")


def sampled(view: View, who: list[int]) -> View:
    assert view.own is not None
    return View(view.own[:, who], view.common, view.laws, view.weights)


def alone(trunk: IndividualTrunk, view: View, agent: int) -> Tensor:
    """The outputs of one agent, layer by layer."""
    assert view.own is not None
    shared = [e(law) for e, law in zip(trunk.encoders, view.laws, strict=True)]
    values = torch.cat([view.own[:, agent, :-1], *shared, view.common], -1)
    for k, layer in enumerate(trunk.layers):
        values = values @ layer.weight[agent] + layer.bias[agent]  # type: ignore[operator,index]
        values = values if k == len(trunk.layers) - 1 else torch.tanh(values)
    return values


def test_a_looked_up_column_is_a_product_with_one_hot_entries() -> None:
    generator = torch.Generator().manual_seed(0)
    view = view_of(generator)
    assert view.own is not None
    trunk = OneHotTrunk(N, OWN + 1, COMMON, (LAW,), 4, SHAPE, 1.0).double()
    dense = Trunk(OWN + N, COMMON, (LAW,), 4, SHAPE, 1.0).double()
    dense.shared, dense.bias, dense.rest = trunk.shared, trunk.bias, trunk.rest
    assert trunk.own is not None
    dense.own = nn.Parameter(torch.cat([trunk.own, trunk.who.T], 1))
    entries = torch.eye(N, dtype=torch.float64).expand(S, -1, -1)
    told = View(torch.cat([view.own[..., :-1], entries], -1), view.common, view.laws, (None,))
    torch.testing.assert_close(trunk(view), dense(told))
    who = [3, 0]
    torch.testing.assert_close(trunk(sampled(view, who)), dense(told)[:, who])


def test_networks_of_each_agent_are_the_same_one_after_another() -> None:
    generator = torch.Generator().manual_seed(1)
    view = view_of(generator)
    trunk = IndividualTrunk(N, OWN + 1, COMMON, (LAW,), 4, SHAPE, 1.0).double()
    each = torch.stack([alone(trunk, view, i) for i in range(N)], 1)
    torch.testing.assert_close(trunk(view), each)
    torch.testing.assert_close(trunk(sampled(view, [4, 1])), each[:, [4, 1]])
    apart = (each[:, 0] - each[:, 1]).abs().max()
    assert apart > 0.1  # they start from weights of their own


def test_deviations_of_real_actions_are_each_agents_own() -> None:
    view = view_of(torch.Generator().manual_seed(2))
    head = Head((Feature("u", Type(kind="real", lo=-1, hi=1), True),), "tanh", -0.5, N)
    with torch.no_grad():
        head.log_std.copy_(torch.arange(N)[:, None] / 10)
    actor = IndividualActor((OWN + 1, COMMON, (LAW,)), head, SHAPE, maker_of("individual", N))
    actor.double()
    whole, part = actor(view), actor(sampled(view, [4, 1]))
    assert whole.log_std is not None and part.log_std is not None
    torch.testing.assert_close(part.log_std[:, 0], torch.tensor([0.4, 0.1], dtype=torch.float64))
    drawn = Drawn(torch.zeros(S, N, 1, dtype=torch.float64), None)
    half = Drawn(torch.zeros(S, 2, 1, dtype=torch.float64), None)
    torch.testing.assert_close(part.log_prob(half), whole.log_prob(drawn)[:, [4, 1]])


def test_gradients_of_each_agent_are_clipped_as_if_it_learned_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    view = view_of(generator)
    critic = Critic((OWN + 1, COMMON, (LAW,)), SHAPE, maker_of("individual", N)).double()
    lone = copy.deepcopy(critic)
    goals = torch.randn(S, N, generator=generator, dtype=torch.float64)
    weight = torch.tensor([0.01, 0.1, 1.0, 10.0, 100.0], dtype=torch.float64)
    (weight * (critic(view) - goals) ** 2).mean().backward()
    clip_each([list(critic.parameters())], 0.5)
    lengths = []
    for agent in range(N):
        loss = (weight * (lone(view) - goals) ** 2)[:, agent].mean()
        slopes = [s[agent] for s in torch.autograd.grad(loss, list(lone.parameters()))]
        length = torch.cat([s.flatten() for s in slopes]).norm()
        lengths.append(float(length))
        for parameter, slope in zip(critic.parameters(), slopes, strict=True):
            assert parameter.grad is not None
            expected = slope * min(1.0, 0.5 / float(length))
            torch.testing.assert_close(parameter.grad[agent], expected)
    assert min(lengths) < 0.5 < max(lengths)


def test_numbers_of_agents_are_between_minus_one_and_one() -> None:
    view = View(torch.zeros(2, 3, 1), torch.zeros(2, 0), (), ())
    told = numbered(view, 3, "integer").own
    assert told is not None
    assert told[1, :, 1].tolist() == [-1.0, 0.0, 1.0]
    assert numbered(view, 3, "symmetric") is view
    with pytest.raises(ValueError, match="know 4 agents one by one cannot play 3"):
        numbered(view, 4, "one_hot")


def test_an_encoder_with_weights_cannot_belong_to_everybody_alone() -> None:
    shape = Shape((8,), "tanh", "mean_embed")
    with pytest.raises(ValueError, match="individual networks share no weights"):
        IndividualTrunk(N, OWN + 1, COMMON, (LAW,), 4, shape, 1.0)


def test_more_networks_than_the_machine_holds_are_refused() -> None:
    with pytest.raises(LessonError, match=r"need .* GiB to learn, there are"):
        IndividualTrunk(10**9, OWN + 1, COMMON, (LAW,), 4, SHAPE, 0.01)
