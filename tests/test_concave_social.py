"""What is proved concave is concave between flows, and what is not, is not claimed to be."""

import pytest
import torch

import mfdsl
from mfdsl.concave import concave_social
from mfdsl.findings import findings
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solvers.social.view import SocialView, earnings

TEXT = """
model rooms
objective nash
horizon 3
population walker as mu {
  state  x : int in 0..2 ~ mix { 0.5 -> 0, 0.3 -> 1, else -> 2 }
  action a : int in -1..1
  x' = clip(x + a)
  REWARDS
}
"""

CASES = [
    ("cost crowd = 2 * mu[x]", True),
    ("reward crowd = 2 * mu[x]", False),
    ("cost crowd = mu[x]^2", True),
    ("cost crowd = 0.5 * log(mu[x] + 0.1)", True),
    ("reward crowd = 0.5 * log(mu[x] + 0.1)", False),
    ("cost share = (mu[x = 1] - 0.5)^2", True),
    ("reward share = (mu[x = 1] - 0.5)^2", False),
    ("cost share = abs(mu[x = 1] - 0.5)", True),
    ("reward share = sqrt(mu[x = 1])", True),
    ("reward share = min(mu[x = 1], 0.2) * 3", True),
    ("reward share = max(mu[x = 1], 0.2)", False),
    ("cost share = exp(2 * mu[x = 1])", True),
    ("cost near = if x == 0 then mu[x = 0] else 2 * mu[x = 2]", False),
    ("cost near = if x == 1 then mu[x = 1] else 0", True),
    ("reward round = if x == 0 then mu[x = 1] else (if x == 1 then -mu[x = 0] else 0)", True),
    ("cost odd = mu[x] * (1 - mu[x])", False),
    ("cost odd = 2 * mu[x] * (1 - mu[x])", False),
    ("cost odd = 2 * mu[x] * mu[x = 0]", False),
    ("cost both = mu[x]^2 + (if x == 1 then mu[x = 1] else 0)", False),
    ("cost move = abs(a)", True),
    ("cost together = (mean(q.x for q in walker) - 1)^2", True),
    ("cost moved = mu[a = a]", True),
    # A sum that is too long to be written out.
    ("reward share = sum(prob(q.x == min(k, 2) for q in walker)^2 for k in 0..200)", False),
    ("cost share = sum(prob(q.x == min(k, 2) for q in walker)^2 for k in 0..200)", True),
]


def text_of(rewards: str) -> str:
    return TEXT.replace("REWARDS", rewards)


def proved(rewards: str) -> bool:
    game = mfdsl.load(text=text_of(rewards))
    monotone = findings(game.certificates)["monotone"].verdict == "proved"
    return concave_social(game.model, monotone=monotone).verdict == "proved"


@pytest.mark.parametrize(("rewards", "expected"), CASES)
def test_the_rules_prove_what_they_should(rewards: str, expected: bool) -> None:
    assert proved(rewards) is expected


@pytest.mark.parametrize("rewards", [rewards for rewards, expected in CASES if expected])
def test_what_is_proved_is_concave_between_flows(rewards: str) -> None:
    view = SocialView.build(mfdsl.load(text=text_of(rewards)).program)
    uniform = view.uniform().probs
    draws = torch.Generator().manual_seed(0)
    for _ in range(20):
        flows = []
        for _ in range(2):
            scores = uniform.log() + 3 * torch.randn(uniform.shape, generator=draws).to(uniform)
            policy = view.policy(torch.softmax(scores, -1))
            flows.append(view.game.flow(policy).joint)
        middle = (flows[0] + flows[1]) / 2
        policies = [view.policy(j / j.sum(-1, keepdim=True)) for j in (*flows, middle)]
        one, other, between = (float(earnings(view.game, view.game.flow(p))) for p in policies)
        assert between >= (one + other) / 2 - 1e-10


def test_convex_rewards_are_caught_by_the_same_sample() -> None:
    view = SocialView.build(mfdsl.load(text=text_of("reward crowd = 2 * mu[x]")).program)
    stay = torch.tensor([0.0, 1.0, 0.0]).to(view.uniform().probs).expand(1, 3, 3, 3)
    left = torch.tensor([1.0, 0.0, 0.0]).to(view.uniform().probs).expand(1, 3, 3, 3)
    flows = [view.game.flow(view.policy(p.contiguous())).joint for p in (stay, left)]
    middle = (flows[0] + flows[1]) / 2
    mass = middle.sum(-1, keepdim=True)
    mixed = view.policy((middle / mass).where(mass > 0, view.uniform().probs))
    values = [float(Evaluation(view, view.policy(p.contiguous())).value) for p in (stay, left)]
    assert float(Evaluation(view, mixed).value) < sum(values) / 2 - 1e-3


def test_a_reward_drawn_with_the_chance_of_a_law_is_not_taken_for_one_that_reads_none() -> None:
    """On average it is the mass at the own action, whose social value is convex."""
    assert not proved("noise e : bool ~ bernoulli(mu[a = a])\n  reward luck = ind(e)")
    assert proved("noise e : bool ~ bernoulli(0.3)\n  reward luck = ind(e)")


def test_what_a_major_chooses_multiplies_laws() -> None:
    """c = 1 where no x is 1 costs nothing, nor does c = 0 where all are; half of both a quarter."""
    text = """
model led
objective nash
horizon 1
major boss {
  state  s : int in 0..0 = 0
  action c : int in 0..1
  s' = s
  reward r = -c * mean(q.x for q in p)
}
population p {
  state  x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  cost effort = 0.1 * a
}
"""
    found = concave_social(mfdsl.load(text=text).model, monotone=True)
    assert found.verdict == "unknown" and found.detail is not None and "`boss`" in found.detail
