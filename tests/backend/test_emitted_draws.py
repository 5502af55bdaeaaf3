"""Draws that read some of the variables before them: every name of a function is an argument."""

import torch

from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir import meaning
from tests.backend.torch_module import as_law, load, random_law

SPEC = """model draws
param A : real[4] in [0, 1] = [0.1, 0.2, 0.3, 0.4]
param n : int in 0..3 = 2
param b : real in [0, 1] = 0.3
objective nash
horizon 3
population people as mu {
  state z : bool ~ bernoulli(0.5)
  state x : int in 0..3 ~ mix { A[3] -> 0, else -> 3 }
  action a : int in 0..1
  noise e : bool ~ bernoulli(0.5)
  x' ~ mix { b -> 0, A[1] / 2 -> clip(floor(9 * A[n]), 0, 3), else -> x }
  z' = e
  reward stay = ind(e) + mu[x = x]
}
"""


def test_a_draw_that_ignores_the_noises_before_it_is_emitted() -> None:
    model = compile_text(SPEC).require_model()
    module, table = load(model), random_law(model, 1)
    states, actions = meaning.joint_states(model), meaning.joint_actions(model)
    p = module.default_params()
    batched = p._replace(b=p.b.expand(1), A=p.A[None])
    law = as_law(model, table[0])
    initial = list(meaning.initial_law(model).values())
    for given in (p, batched):
        kernel = module.kernel(given, torch.tensor(0), table)
        kernel = kernel.reshape(len(states), len(actions), len(states))
        drawn = module.initial_law(given).flatten().tolist()
        assert torch.allclose(torch.tensor(drawn), torch.tensor(initial))
        for i, state in enumerate(states):
            for j, action in enumerate(actions):
                row = meaning.kernel_row(model, 0, law, state, action)
                expected = [row.get(after, 0.0) for after in states]
                assert torch.allclose(kernel[i, j], torch.tensor(expected, dtype=torch.float64))
