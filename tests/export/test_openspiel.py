"""Games as OpenSpiel's: its own code says what `evaluate` says, of policies that go both ways."""

from typing import Any

import numpy as np
import pytest

import mfdsl

pytest.importorskip("pyspiel", reason="needs the extra `openspiel`")

from open_spiel.python.mfg.algorithms.best_response_value import BestResponse
from open_spiel.python.mfg.algorithms.distribution import DistributionPolicy
from open_spiel.python.mfg.algorithms.greedy_policy import GreedyPolicy
from open_spiel.python.mfg.algorithms.nash_conv import NashConv

from mfdsl.export.openspiel import SpielGame, SpielPolicy, policy_from

GAMES: dict[str, dict[str, Any]] = {
    "left_right": {},
    "sis": {"T": 6},
    "sir_vaccination": {"T": 4},
    "mfglib_beach_bar": {},
    "garnet": {"T": 3},
}
STAIRS = """model stairs
objective nash
horizon 3
discount 0.9
population rider as mu {
  state floor : int in 0..2 ~ uniform
  action a : int in -1..1 where 0 <= floor + a and floor + a <= 2
  noise slip : bool ~ bernoulli(mu[a = 1] / 2)
  floor' = if slip then floor else floor + a
  reward high = floor - mu[floor] - mu[a = 1]
  final reward top = 10 * floor - mu[floor]
}
"""


@pytest.mark.parametrize("name", GAMES)
def test_exploitability_by_openspiel_is_ours(name: str) -> None:
    game = mfdsl.load(name, params=GAMES[name])
    solution = mfdsl.solve(game, "omd", iterations=3)
    there = SpielGame(game)
    found = NashConv(there, SpielPolicy(there, solution.policy))
    assert solution.exploitability.value > 1e-6
    assert found.nash_conv() == pytest.approx(solution.exploitability.value, abs=1e-9)


def test_laws_of_actions_final_rewards_masks_and_discounts_are_there() -> None:
    game = mfdsl.load(text=STAIRS)
    there, scored = SpielGame(game), mfdsl.evaluate(game)
    found = NashConv(there, SpielPolicy(there))
    (best,) = found.br_values()
    assert best == pytest.approx(scored.best_value.item(), abs=1e-12)
    assert found.nash_conv() == pytest.approx(scored.exploitability.value, abs=1e-12)


def test_policies_go_both_ways() -> None:
    """OpenSpiel's best response to a flow is worth what ours is, and a table comes back whole."""
    game = mfdsl.load(text=STAIRS)
    there, scored = SpielGame(game), mfdsl.evaluate(game)
    uniform = SpielPolicy(there)
    assert (policy_from(there, uniform).probs == scored.policy.probs).all()
    flow = DistributionPolicy(there, uniform)
    greedy = policy_from(there, GreedyPolicy(there, [0], BestResponse(there, flow)))
    q = scored.best_q[0].numpy()
    gained = (np.nan_to_num(q, neginf=0) * greedy.probs[0].numpy()).sum(-1)
    assert gained == pytest.approx(q.max(-1))
    ours = mfdsl.evaluate(game, greedy).exploitability.value
    assert ours == pytest.approx(NashConv(there, SpielPolicy(there, greedy)).nash_conv())


def test_a_game_is_played_through_to_its_end() -> None:
    there = SpielGame(mfdsl.load(text=STAIRS))
    state, draw, count = there.new_initial_state(), np.random.default_rng(0), 0
    while not state.is_terminal():
        count += 1
        if state.is_mean_field_node():
            support = state.distribution_support()
            state.update_distribution([1 / len(support)] * len(support))
        elif state.is_chance_node():
            outcomes, chances = zip(*state.chance_outcomes(), strict=True)
            assert sum(chances) == pytest.approx(1)
            state.apply_action(draw.choice(outcomes, p=chances))
        else:
            state.apply_action(draw.choice(state.legal_actions()))
    assert count == 1 + 3 * 4 + 1 and np.isfinite(state.returns()[0])


@pytest.mark.parametrize(
    ("name", "words"), [("no_interaction", "is stationary"), ("routing", "games of one population")]
)
def test_other_games_are_refused(name: str, words: str) -> None:
    with pytest.raises(mfdsl.UsageError, match=words):
        SpielGame(name)
