"""Policies by name, and the three ways to make them."""

import pytest
import torch

from mfdsl.runtime.policy import (
    Axis,
    TabularPolicy,
    adding_up,
    greedy_probs,
    softmax_probs,
    uniform_probs,
)

HEALTH = Axis("health", 2, 0, ("well", "ill"))
PLACE = Axis("place", 3, -1)
MOVE = Axis("move", 2)
SPEED = Axis("speed", 2)


@pytest.fixture
def policy() -> TabularPolicy:
    probs = torch.arange(1.0, 2 * 3 * 6 * 4 + 1, dtype=torch.float64).view(2, 3, 6, 4)
    return TabularPolicy(probs / probs.sum(-1, keepdim=True), (HEALTH, PLACE), (MOVE, SPEED))


def test_probabilities_are_found_by_the_names_of_the_values(policy: TabularPolicy) -> None:
    row = policy.at(2, place=1, health="ill")
    assert row.shape == (2, 2, 2)
    assert torch.equal(row.reshape(2, 4), policy.probs[:, 2, 5])
    assert torch.equal(policy.at(0, place=-1, health=0).reshape(2, 4), policy.probs[:, 0, 0])


@pytest.mark.parametrize(
    ("t", "values", "complaint"),
    [
        (0, {"place": 0}, "each of"),
        (0, {"place": 0, "health": 0, "wealth": 1}, "each of"),
        (0, {"place": 2, "health": 0}, r"place lies in -1\.\.1, not 2"),
        (0, {"place": 0, "health": "dead"}, "health has no value dead"),
        (3, {"place": 0, "health": 0}, r"stages are 0\.\.2, not 3"),
    ],
)
def test_wrong_names_and_values_are_refused(
    policy: TabularPolicy, t: int, values: dict[str, int | str], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        policy.at(t, **values)


def test_a_stationary_policy_is_the_same_at_all_stages(policy: TabularPolicy) -> None:
    fixed = TabularPolicy(policy.probs[:, :1], policy.states, policy.actions)
    assert torch.equal(fixed.at(17, place=0, health=0), fixed.at(0, place=0, health=0))


SCORES = torch.tensor([[[[1.0, 3.0, 3.0 + 1e-13, -torch.inf]]]], dtype=torch.float64)


def test_greedy_shares_ties_or_takes_the_first() -> None:
    assert greedy_probs(SCORES).tolist() == [[[[0.0, 0.5, 0.5, 0.0]]]]
    assert greedy_probs(SCORES, "first").tolist() == [[[[0.0, 1.0, 0.0, 0.0]]]]


def test_softmax_and_uniform_respect_illegal_actions() -> None:
    for temperature in (1.0, 0.5):
        probs = softmax_probs(SCORES, temperature)[0, 0, 0]
        assert probs[3] == 0
        ratio = (probs[1] / probs[0]).log().item()
        assert ratio == pytest.approx(2 / temperature)
    assert uniform_probs(SCORES.isfinite()).tolist() == [[[[1 / 3, 1 / 3, 1 / 3, 0.0]]]]


def test_softmax_of_large_scores_is_finite() -> None:
    assert softmax_probs(SCORES * 1e6).isfinite().all()


def test_rows_are_scaled_only_where_they_miss_1_by_more_than_rounding() -> None:
    """So that a kept policy is read as it was written, to the bit."""
    scores = torch.randn(
        2, 3, 50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    exact = scores.softmax(-1)
    assert (exact.sum(-1) != 1).any()  # by a rounding or two
    assert torch.equal(adding_up(exact), exact)
    mixed = exact.clone()
    mixed[0] = exact[0].float().double()
    found = adding_up(mixed)
    assert torch.equal(found[1], exact[1])
    assert ((mixed[0].sum(-1) - 1).abs() > 1e-10).any()
    assert ((found[0].sum(-1) - 1).abs() < 1e-15).all()
    torch.testing.assert_close(found[0], exact[0], rtol=1e-6, atol=0)
