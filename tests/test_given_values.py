"""Values, sweeps and policies that a program gives: read as meant, or refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.errors import UsageError
from mfdsl.game import load
from mfdsl.runtime.policy import TabularPolicy

SPEC = """model crowd
enum Side { left, right }
param w : real[2, 2] in [0, 9] = [[1, 2], [3, 4]]
param c : real in [0, 9] = 1
param T : int in 1..50 = 4
param shy : bool = false
objective nash
horizon T
population walker {
  state  x : Side = left
  action a : Side
  x' = a
  cost crowd = c * prob(q.x == x for q in walker) * (if shy then 2 else 1)
  cost place = if x == left then w[0, 1] else w[1, 0]
}
"""


def given_spec(folder: Path) -> Path:
    """The spec as a file."""
    (folder / "crowd.mfg").write_text(SPEC)
    return folder / "crowd.mfg"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"w": [[1, 2], [3, 5]]}, {"w": (1, 2, 3, 5)}),
        ({"w": np.arange(4.0).reshape(2, 2)}, {"w": (0, 1, 2, 3)}),
        ({"w": torch.ones(2, 2)}, {"w": (1, 1, 1, 1)}),
        ({"c": np.float64(2), "T": np.int64(3)}, {"c": 2, "T": 3}),
        ({"shy": True}, {"shy": 1}),
    ],
)
def test_values_are_read_as_meant(
    given: dict[str, Any], read: dict[str, Any], tmp_path: Path
) -> None:
    assert mfdsl.check(given_spec(tmp_path), params=given).ok
    values = {p.name: p.value for p in load(text=SPEC, params=given).model.parameters}
    assert {name: values[name] for name in given} == read


@pytest.mark.parametrize("value", [None, object(), [[1, 2], [3, None]], [[1, 2], [3, np.nan]]])
def test_what_is_no_value_is_refused_and_not_left_out(value: object) -> None:
    with pytest.raises(UsageError, match="`w`"):
        load(text=SPEC, params={"w": value})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sweep": {"c": 0.5}}, "`c` is swept over 0.5"),
        ({"sweep": {"c": ()}}, r"`c` is swept over \(\)"),
        ({"sweep": {"c": (1, np.inf)}}, "`c` holds `inf`"),
        ({"device": "gpu"}, "`device` is 'gpu'"),
        ({"dtype": "float16"}, "`dtype` is 'float16'"),
        ({"seed": -1}, "a seed is a whole number from 0, not -1"),
    ],
)
def test_wrong_requests_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mfdsl.solve(load(text=SPEC), iterations=1, **given)


def test_arrays_are_swept() -> None:
    values: Any = np.linspace(1, 2, 3)
    found = mfdsl.solve(load(text=SPEC), iterations=1, sweep={"c": values})
    assert isinstance(found, mfdsl.Solution)
    assert len(found.exploitability.per_game) == 3


def test_a_table_is_played_in_its_own_game_alone() -> None:
    """Its stages and its variables: a table of 4 stages says nothing about the fifth."""
    found = mfdsl.solve(load(text=SPEC), iterations=1)
    assert isinstance(found, mfdsl.Solution)
    policy = found.policy
    mfdsl.simulate(load(text=SPEC), policy, agents=5)
    longer, other = load(text=SPEC, params={"T": 9}), SPEC.replace("left", "west")
    for record in (False, True):
        with pytest.raises(UsageError, match="the policy has 4 stages, and `crowd` has 9"):
            mfdsl.simulate(longer, policy, agents=5, record=record)
        with pytest.raises(UsageError, match="another game than `crowd`"):
            mfdsl.simulate(load(text=other), policy, agents=5, record=record)
    always = TabularPolicy(policy.probs[:, :1], policy.states, policy.actions)
    mfdsl.simulate(longer, always, agents=5)
