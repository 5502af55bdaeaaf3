"""What emitted modules once took for something else: indices, axes, numbers; beside the loops."""

from math import inf

import pytest

from mfdsl.compiler.backend.particles.emit import emit_particles
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.meaning import kernel_row
from mfdsl.compiler.ir.walk import MEMBERS, REDUCTIONS
from mfdsl.game import Game
from mfdsl.runtime.agents import load_agents
from mfdsl.runtime.simulator import Simulator
from tests.agents_oracle import compared

SPEC = """model indices
objective nash
horizon 3
fn longest(v) = norm([v * i for i in 0..2])
fn most(v) = max(v * (i - 3) for i in 0..6)
fn met(v) = mean(v * q.x for q in p)
environment w {{
  state v : real in [0, 1] ~ uniform
  v' = v
}}
population p as mu {{
  state x : real in [0, 2] ~ uniform
  state y : real[{size}] in [0, 1] ~ uniform
  state z : int in 0..2 ~ uniform
  action u : int in 0..1
  x' = x
  y' = clip({value})
  z' = z
  reward r = {value}
}}
"""
VALUES = [
    "0.1 * sum(x * i for i in 0..6)",  # the number is every entry of y
    "longest(max((x - i)^2 for i in 0..6))",
    "max(v for v in [x, max((x - i)^2 for i in 0..6)])",
    "mean(max((q.z - i)^2 for i in 0..6) for q in p) * max((ind(z > 1) - i)^2 for i in 0..6)",
    "prob(x > q.z for q in p)",
    "norm(if z > 0 then 1 else [x, 3])",  # the number is both entries
    # others, of whom nothing is read
    "0.1 * sum(mean(i for q in others(p)) for i in 0..2)",
    "mean(ind(max(mean(4 for o in others(p)), 1) > 2) for q in others(p))",
    # arguments of functions that read them in sums and means
    "most(sum(x * i for i in 0..6)) + most(most(x))",
    "met(mean(q.z * x for q in p)) + met(most(met(x)))",
    # equal sums at two depths
    "sum(tanh(w.v * i) * tanh(x * i) for i in 0..5)"
    " + max((sum(tanh(w.v * i) * tanh(x * i) for i in 0..5) - j)^2 for j in 0..6)",
]
FINITE = """model tabled
objective nash
horizon 3
fn longest(v) = norm([v * i for i in 0..2])
population p as mu {
  state y : int[2] in 0..9 = 0
  state z : int in 0..2 ~ uniform
  action u : int in 0..1
  y' = clip(floor(longest(0.05 * max((z - i)^2 for i in 0..6))))
  z' = z
  reward r = y[0] * mu[z = z]
}
"""


@pytest.mark.parametrize("size", [2, 7])
@pytest.mark.parametrize("value", VALUES)
def test_modules_mean_what_the_loops_mean(value: str, size: int) -> None:
    model = compile_text(SPEC.format(value=value, size=size)).require_model()
    module = load_agents(emit_particles(model, source_name="indices", digest="0"), model, "p")
    simulator = Simulator(module, module.params(), agents={"p": 3}, batch=2, seed=1)
    assert compared(model, simulator, steps=1)[1] > 0


def test_tables_bind_an_index_anew_inside_of_one_that_is_written_out() -> None:
    small = Game(compile_text(FINITE)).reduced
    assert small is not None
    names = [s.name for s in small.model.population.states]
    for z, longest in enumerate((36, 25, 16)):
        state = tuple(z if name == "z" else 0 for name in names)
        law = {(state, (0,)): 1.0}
        (after,) = (s for s, m in kernel_row(small.model, 0, law, state, (0,)).items() if m)
        expected = int(0.05 * longest * 5**0.5)
        assert after == tuple(z if name == "z" else expected for name in names)


@pytest.mark.parametrize("value", VALUES)
def test_no_binder_stands_in_the_body_of_one_as_deep(value: str) -> None:
    model = compile_text(SPEC.format(value=value, size=7)).require_model()
    least: list[float] = []  # depth of a binder at or under each node
    for node in model.nodes:
        below = min((least[a] for a in node.args), default=inf)
        if node.op in (*REDUCTIONS, *MEMBERS, "array_over"):
            depth = node.attr[0] if isinstance(node.attr, tuple) else node.attr
            assert isinstance(depth, int) and depth < below
            below = depth
        least.append(below)
