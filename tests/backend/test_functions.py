"""Every function of the language, in the tables and among the agents of one small game."""

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.compiler.ir.interpret import Environment, evaluate

GAME = """
model functions
param c : real in [-3, 3] = 0.7
param v : real[2] in [-3, 3] = [0.5, 2]
objective nash
horizon 2
population p as mu {{
  state x : int in 0..3 ~ uniform
  action a : int in 0..2
  x' = clip(x + a - 1)
  reward r = {}
}}
"""
REWARDS = (
    "softplus(40 * mu[x] - 20)",
    "softplus(30)",
    "softplus(c - x)",
    "atan2(x, 2)",
    "atan2(-1, x - 1.5)",
    "atan2(mu[x], c)",
    "atan2(c, 2)",
    "norm([x, a])",
    "norm([mu[x], 2])",
    "norm([x, a] - v)",
    "dot([x, 1], v)",
    "dot([x, a] - v, [mu[x], 1])",
    "sum(softplus(k - x) for k in 0..2)",
    "sum(([x, a] - v)[k] for k in 0..1)",
    "sign(x - 1) * tanh(a)",
    "rem(x, 2) + rem(-a, 2)",
    "prod(mu[k] + 1 for k in 0..3)",
    "mean(softplus(q.x - x) for q in p)",
    "mean(norm([q.x - x, a]) for q in p)",
    "ceil(x / 2) + floor(c * x) + round(x * c)",
    "log(x + 1) ^ 2 - sqrt(x) + exp(-abs(x - 2)) + sin(x) * cos(a)",
    "match a { 0 -> softplus(x), 1 -> atan2(x, 1), 2 -> 0 }",
)


@pytest.mark.parametrize("reward", REWARDS)
def test_tables_and_agents_mean_what_is_written(reward: str) -> None:
    game = mfdsl.load(text=GAME.format(reward))
    rng = np.random.default_rng(0)
    x, a = rng.integers(0, 4, 12), rng.integers(0, 3, 12)
    law = np.zeros((4, 3))
    np.add.at(law, (x, a), 1 / 12)
    masses = {((i,), (k,)): float(law[i, k]) for i, k in np.ndindex(4, 3)}
    node = game.model.population.rewards[0].node

    def meant(i: int, k: int) -> float:
        own = {("state", "x"): i, ("action", "a"): k}
        return float(evaluate(game.model, node, Environment(own, law=masses)))

    expected = np.array([[meant(i, k) for k in range(3)] for i in range(4)])
    time = torch.tensor(0)
    table = game.program.module.rewards(game.program.params(), time, torch.tensor(law)[None])
    np.testing.assert_allclose(table[0].numpy(), expected, rtol=0, atol=1e-12)
    agents = game.agents.module
    state = agents.State(p=agents.P(torch.tensor(x)[None]))
    action = agents.Action(p=agents.PAction(torch.tensor(a)[None]))
    noise = agents.draw_noise(1, {"p": 12}) if hasattr(agents, "draw_noise") else None
    _, paid = agents.step(game.agents.params(), time, state, action, noise)
    np.testing.assert_allclose(paid.p[0].numpy(), expected[x, a], rtol=0, atol=1e-12)
