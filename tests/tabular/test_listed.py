"""Draws by the number of their outcome: the same game, with a column for each outcome."""

import pytest
import torch
from torch import Tensor

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.tabular import listed
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.compiler.tabular.listed import as_large_tables, with_listed_outcomes
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.runtime.program import Program, load_program

GAME = """model drawn
enum Job {{ low, mid, high }}
objective nash
horizon {horizon}
population person as mu {{
  state  k : int {kind} ~ uniform
  state  job : Job ~ uniform
  action a : int in 0..3
  let m = mean(q.k for q in person)
  k' ~ {law}
  job' ~ {jobs}
  reward r = -0.01 * k * m - 0.1 * a
}}
"""
LAWS = {
    "dither(clip(k + a / 3 - 0.4, 0, 8))": 2,
    "dither(clip(0.9 * m + 0.3 * a, 0, 8))": 2,
    "if a > 1 then dither(clip(a * k / 3, 0, 8)) else mix { 0.3 -> 0, else -> k }": 2,
    "mix { 0.2 -> k, 0.3 -> clip(k + a), 0.1 -> k, else -> max(k - 1, 0) }": 3,
    "match a { 0 -> k, 1 -> mix { m / 20 -> 8, else -> k }, else -> clip(k + 1) }": 2,
    "if k > 4 then 3 else clip(a + k)": 1,
}


def model_of(law: str, kind: str = "in 0..8", jobs: str = "uniform", horizon: str = "4") -> Model:
    text = GAME.format(law=law, kind=kind, jobs=jobs, horizon=horizon)
    return compile_text(text).require_model()


def program_of(model: Model) -> Program:
    return load_program(emit_torch(model, source_name="drawn", digest=""), model, "drawn")


def chances(program: Program, law: Tensor) -> Tensor:
    """The kernel [S, A, S] at t = 1 and a joint law."""
    module, params, t = program.module, program.params(), torch.tensor(1)
    field = module.field(params, t, law)
    ways = module.successors(params, t, field), module.weights(params, t, field)
    to, weights = torch.broadcast_tensors(*ways)
    assert 0 <= int(to.min()) and int(to.max()) < program.state_count
    count = program.state_count
    return weights.new_zeros(1, count, program.action_count, count).scatter_add(3, to, weights)


def compared(before: Model, after: Model) -> None:
    one, other = program_of(before), program_of(after)
    generator = torch.Generator().manual_seed(1)
    law = torch.rand(1, *one.states.values(), *one.actions.values(), generator=generator)
    law = law.double() / law.sum()
    assert torch.allclose(chances(one, law), chances(other, law), rtol=0, atol=1e-15)
    rewards = [p.module.rewards(p.params(), torch.tensor(1), law) for p in (one, other)]
    assert torch.allclose(*rewards, rtol=0, atol=1e-15)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables are large."""
    monkeypatch.setattr(listed, "LARGE", 1)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("law", LAWS)
def test_outcomes_have_the_chances_of_their_values(law: str) -> None:
    model = model_of(law)
    found = as_large_tables(model)
    sizes = {n.name: found.types[n.type].size for n in found.population.noises}
    assert sizes.get("k_next", 1) == LAWS[law]
    assert sizes["job_next"] == 3  # uniform: as many outcomes as values
    compared(model, found)


@pytest.mark.usefixtures("small")
def test_rings_enums_and_ends_have_their_values() -> None:
    law, jobs = (
        "dither(k + a / 2 - 1.25)",
        "if a == 0 then mix { 0.3 -> mid, else -> job } else low",
    )
    model = model_of(law, "mod 9", jobs)
    found = as_large_tables(model)
    assert [found.types[n.type].size for n in found.population.noises] == [2, 2]
    compared(model, found)


def test_what_is_large_or_reads_the_law_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, moved = model_of("dither(k / 2)"), model_of("dither(m / 2)")
    kept = model_of("dither(m / 2)", horizon="stationary\ndiscount 0.9")
    assert as_large_tables(fixed) is fixed
    assert with_listed_outcomes(fixed) is not fixed
    assert with_listed_outcomes(moved) is moved  # its successors would be made at each law
    monkeypatch.setattr(listed, "LARGE", 1)
    assert with_listed_outcomes(moved) is not moved
    assert with_listed_outcomes(kept) is kept


PASTS = """model shocks
objective nash
horizon 3
environment sky {
  state rain : bool = false
  noise e : bool ~ bernoulli(0.3)
  rain' = e
}
population farmer as mu {
  state  k : int in 0..5 ~ uniform
  action a : int in 0..2
  let crowd = mean(q.a / 2 for q in farmer)
  k' ~ match sky.rain {
    true -> mix { 0.9 - 0.5 * crowd -> clip(k + a), else -> k },
    false -> mix { 0.2 -> max(k - 1, 0), else -> k }
  }
  reward yield = 0.1 * k - 0.2 * a * crowd
}
"""


def test_games_with_pasts_have_few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    model = compile_text(PASTS).require_model()
    found = reduced(model, Bins()).model
    sizes = {n.name: found.types[n.type].size for n in found.population.noises}
    assert sizes == {"turn": 2, "k_next": 3}  # and one where nobody has this past
    monkeypatch.setattr("mfdsl.compiler.tabular.reduce.with_listed_outcomes", lambda m: m)
    plain = reduced(model, Bins()).model
    assert {n.name: plain.types[n.type].size for n in plain.population.noises}["k_next"] == 6
    compared(plain, found)
