"""Games as MFGLib's: its own score of a policy is ours, and policies go both ways."""

from collections.abc import Iterator

import pytest
import torch

import mfdsl

pytest.importorskip("mfglib.alg", reason="needs the extra `mfglib`")  # before what it imports

from mfglib.scoring import exploitability_score

from mfdsl.export.mfglib import environment, policy_from, policy_to

ENDED = """model ended
objective nash
horizon 3
discount 0.9
population p as mu {
  state x : int in 0..2 ~ uniform
  state y : bool = false
  action a : int in 0..1
  noise slip : bool ~ bernoulli(mu[a = 1] / 2)
  x' = if slip or y then x else min(x + a, 2)
  y' = not y
  reward high = x - mu[x = x] - mu[a = 1]
  final reward top = 3 * x - mu[x = x]
}
"""


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["sis", "mfglib_beach_bar", "crowd_1d", "ended"])
def test_exploitability_by_mfglib_is_ours(name: str) -> None:
    game = mfdsl.load(text=ENDED) if name == "ended" else mfdsl.load(name)
    solution = mfdsl.solve(game, "omd", iterations=2)
    env, pi = environment(game), policy_to(game, solution.policy)
    assert solution.exploitability.value > 1e-6
    assert exploitability_score(env, pi) == pytest.approx(solution.exploitability.value, abs=1e-9)
    back = policy_from(game, pi)
    assert torch.allclose(back.probs, solution.policy.probs, atol=1e-15)


def test_what_mfglib_has_no_words_for_is_refused() -> None:
    with pytest.raises(mfdsl.UsageError, match="no illegal actions"):
        environment("sir_vaccination")
    with pytest.raises(mfdsl.UsageError, match="has the shape"):
        policy_from(mfdsl.load("pigou"), torch.ones(2, 2))
