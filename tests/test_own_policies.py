"""Policies that are functions of somebody else's: what is none of a game is named, not played."""

import traceback
from typing import Any

import pytest
import torch
from torch import nn

import mfdsl

GAME = mfdsl.load("sis", params={"T": 2})
NONE = torch.zeros(2, 3, dtype=torch.long)


class Halves(nn.Module):
    """A network that may be played as it is."""

    def forward(self, t: int, seen: Any) -> Any:
        return {"person": {"a": seen["person"]["h"].long()}}


def simulated(policy: Any) -> Any:
    return mfdsl.simulate(GAME, policy, agents=3, batch=2)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2)), "`Sequential` is a network of tensors"),
        (nn.LSTM(2, 2), "`LSTM` is a network of tensors"),
        (Halves, "`Halves` is a class, and a policy is one of its instances"),
        (lambda seen: {}, r"called as f\(t, observation\), and `<lambda>` takes \(seen\)"),
        (torch.ones(3, 2, 2), "of type Tensor is no policy"),
    ],
)
def test_what_cannot_be_called_with_an_observation_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(mfdsl.UsageError, match=message):
        simulated(policy)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "gives NoneType, not actions by name"),
        ({"persn": {"a": NONE}}, "gives no `a` of person, but persn"),
        ({"person": NONE}, r'gives Tensor as actions of person, not actions by name: {"a": ...}'),
        ({"person": {}}, "gives no `a` of person, but nothing"),
        ({"a": NONE[:, :2]}, r"has shape \[2, 2\], expected \[2, 3\]"),
        ({"a": "out"}, "`a` of person is of type str, which holds no numbers"),
        ({"a": NONE.to("meta")}, "is a meta tensor, which holds no numbers"),
        ({"a": NONE.to(torch.complex64)}, "is complex, and actions are dense tensors"),
        ({"a": NONE.to_sparse()}, "is sparse, and actions are dense tensors"),
        ({"a": NONE * float("nan")}, "is nan, which is not a whole number"),
    ],
)
def test_actions_that_are_none_are_named(given: Any, message: str) -> None:
    with pytest.raises(mfdsl.UsageError, match=message):
        simulated(lambda t, seen: given)


def test_a_network_that_gives_actions_by_name_is_played_as_it_is() -> None:
    expected = simulated(lambda t, seen: {"a": seen["person"]["h"]}).returns["person"].values
    assert torch.equal(simulated(Halves()).returns["person"].values, expected)


def test_an_error_in_a_policy_is_raised_with_its_place() -> None:
    def broken(t: int, seen: Any) -> Any:
        logits = torch.full((2, 3, 2), torch.nan)
        return {"a": torch.distributions.Categorical(logits=logits, validate_args=True).sample()}

    with pytest.raises(ValueError, match="found invalid values") as error:
        simulated(broken)
    assert "Categorical(logits=logits" in "".join(traceback.format_tb(error.value.__traceback__))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"batch": 2.0}, "a number of games is a whole number, not 2.0"),
        ({"steps": "2"}, "a number of steps is a whole number, not '2'"),
        ({"seed": torch.tensor(1)}, "a seed is a whole number from 0"),
    ],
)
def test_sizes_that_are_no_whole_numbers_are_refused(sizes: Any, message: str) -> None:
    with pytest.raises(mfdsl.UsageError, match=message):
        mfdsl.simulate(GAME, lambda t, seen: {"a": 0}, **sizes)
    with pytest.raises(mfdsl.UsageError, match="what `load` gives, and here it is of type list"):
        mfdsl.simulate([])  # type: ignore[arg-type]
