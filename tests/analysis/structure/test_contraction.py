"""Contraction of soft fixed points: the bound against eigenvalues, and against the map itself."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from mfdsl.compiler.analysis.structure.contraction import (
    Factors,
    contraction,
    factors_of,
    spectral_bound,
)
from mfdsl.compiler.analysis.structure.mixing import mixing
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.interpret import Law
from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import certificate, copies_of, line, model_of

HORIZON = 3

TEXT = """model soft
objective nash
horizon 3
population person as mu {{
  state  x : int in 0..1 ~ mix {{ 0.3 -> 1, else -> 0 }}
  action a : int in 0..1
  x' ~ mix {{ {p} + {q} * a + {k} * mu[1] + {d} * x -> 1, else -> 0 }}
  reward r = {b} * mu[x] + {c} * x * a - 0.2 * a
  final reward end = {e} * mu[x]
}}
"""


def game(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    values = {
        name: round(float(v), 3) for name, v in zip("pqkd", rng.uniform(0, 0.25, 4), strict=True)
    }
    values |= {
        name: round(float(v), 3) for name, v in zip("bce", rng.uniform(-1, 1, 3), strict=True)
    }
    return model_of(TEXT.format(**values))


Flow = list[dict[tuple[tuple[int], tuple[int]], float]]


def follow(model: Model, policies: np.ndarray) -> Flow:
    """Joint laws at every stage, and the law of states at the end with an empty action."""
    states = meaning.initial_law(model)
    flow: Flow = []
    for t in range(HORIZON):
        law = {((x,), (a,)): states[(x,)] * policies[t, x, a] for x in (0, 1) for a in (0, 1)}
        flow.append(law)
        states = meaning.push(model, t, law)
    flow.append({((x,), (0,)): states[(x,)] for x in (0, 1)})
    return flow


def respond(model: Model, flow: Flow, temperature: float) -> np.ndarray:
    """The soft best response to a flow."""
    end: dict[tuple[int], float] = {(x,): flow[-1][(x,), (0,)] for x in (0, 1)}
    value = [meaning.final_reward(model, HORIZON, end, (x,)) for x in (0, 1)]
    policies = np.zeros((HORIZON, 2, 2))
    for t in reversed(range(HORIZON)):
        law: Law = flow[t]
        q = np.zeros((2, 2))
        for x in (0, 1):
            for a in (0, 1):
                row = meaning.kernel_row(model, t, law, (x,), (a,))
                future = sum(row.get((y,), 0.0) * value[y] for y in (0, 1))
                q[x, a] = meaning.reward(model, t, law, (x,), (a,)) + future
        scaled = np.exp((q - q.max(1, keepdims=True)) / temperature)
        policies[t] = scaled / scaled.sum(1, keepdims=True)
        value = [float(q[x].max() + temperature * math.log(scaled[x].sum())) for x in (0, 1)]
    return policies


def distances(one: Flow, other: Flow) -> np.ndarray:
    return np.array([sum(abs(a[k] - b[k]) for k in a) for a, b in zip(one, other, strict=True)])


def dense(factors: Factors, stages: int, discount: float) -> np.ndarray:
    """F B, entry by entry."""
    growth = factors.members + factors.kernel
    spans = [0.0] * (stages + 1)
    spans[stages] = factors.final_span
    for j in reversed(range(stages)):
        spans[j] = factors.span + discount * factors.members * spans[j + 1]
    backward, forward = np.zeros((2, stages + 1, stages + 1))
    for k in range(stages):
        for j in range(k, stages + 1):
            weight = factors.final if j == stages else factors.running
            if j < stages:
                weight += 0.5 * discount * factors.kernel * spans[j + 1]
            backward[k, j] = discount ** (j - k) * weight
    for h in range(stages + 1):
        for k in range(h + 1):
            forward[h, k] = growth ** (h - k)
    return np.asarray(forward @ backward)


@pytest.mark.parametrize("seed", range(8))
def test_flows_move_no_more_than_the_factors_say(seed: int) -> None:
    model = game(seed)
    factors = factors_of(model, copies_of(model), model.population)
    matrix = dense(factors, HORIZON, 1.0)
    rng = np.random.default_rng(seed)
    for temperature in (0.05, 0.5, 3.0):
        for _ in range(4):
            policies = rng.dirichlet(np.ones(2), (2, HORIZON, 2))
            one, other = (follow(model, p) for p in policies)
            after = [follow(model, respond(model, f, temperature)) for f in (one, other)]
            moved = distances(after[0], after[1])
            allowed = matrix @ distances(one, other) / temperature
            assert (moved <= allowed + 1e-12).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_is_just_above_the_spectral_radius(seed: int) -> None:
    model = game(seed)
    factors = factors_of(model, copies_of(model), model.population)
    radius = max(abs(np.linalg.eigvals(dense(factors, HORIZON, 1.0))))
    bound = spectral_bound(HORIZON, 1.0, factors)
    assert radius <= bound <= radius * 1.01
    found = contraction(model, copies_of(model), 5.0)
    assert found.verdict == "proved" and found.upper == bound
    assert {o.claim for o in found.obligations} >= {"L_mu", "K_mu", "delta_P"}


def test_closed_forms_of_games_without_coupling_in_the_kernel() -> None:
    """Two stages with laws of states and modulus 1: the root of [[1, 1], [1, 2]]."""
    found = certificate(line("-2 * mu[x]", 2, 2), "contraction")
    assert found.upper == pytest.approx((3 + math.sqrt(5)) / 2, rel=1e-6)


def test_mixing_is_the_coefficient_of_enumerated_kernels() -> None:
    for seed in range(5):
        model = game(seed)
        near = mixing(model, copies_of(model), model.population)
        worst = 0.0
        for share in (0.0, 0.5, 1.0):
            law: Law = {((0,), (0,)): 1 - share, ((1,), (0,)): share}
            chances = [
                meaning.kernel_row(model, 0, law, (x,), (a,)).get((1,), 0.0)
                for x in (0, 1)
                for a in (0, 1)
            ]
            worst = max(worst, max(chances) - min(chances))
        assert worst <= near.members <= 1


def test_stationary_games_contract_where_one_step_does() -> None:
    text = TEXT.format(p=0.3, q=0.2, k=0.1, d=0.1, b=0.5, c=0.5, e=0).replace(
        "horizon 3", "horizon stationary\ndiscount 0.9"
    )
    text = "\n".join(row for row in text.splitlines() if "final" not in row)
    found = certificate(model_of(text), "contraction")
    assert found.verdict == "proved" and found.upper is not None and found.upper > 0
    slow = text.replace("0.3 + 0.2 * a + 0.1 * mu[1] + 0.1 * x -> 1", "1 * x -> 1")
    found = certificate(model_of(slow), "contraction")
    assert found.verdict == "unknown" and found.detail is not None and "delta_P" in found.detail


@pytest.mark.parametrize(
    ("observe", "verdict"),
    [
        ("observe t", "unknown"),
        ("observe x", "unknown"),
        ("observe law(person)", "unknown"),
        ("observe x, t", "proved"),
        ("", "proved"),
    ],
)
def test_policies_see_the_state_and_the_time(observe: str, verdict: str) -> None:
    text = TEXT.format(p=0.3, q=0.2, k=0.1, d=0.1, b=-5, c=0.5, e=0)
    model = model_of(text.replace("  reward r", f"  {observe}\n  reward r"))
    found = certificate(model, "contraction")
    assert found.verdict == verdict, found.detail
    if verdict == "unknown":
        assert found.reason == "unsupported" and "do not see" in (found.detail or "")


SKY = "environment sky {\n  state w : bool = false\n  w' ~ bernoulli(0.5)\n}\n"
OTHER = """population more {
  state  y : int in 0..1 = 0
  action b : int in 0..1
  y' = b
  reward s = y
}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text + SKY, "an environment, `sky`"),
        (lambda text: text + OTHER, "2 populations"),
        (lambda text: text.replace("objective nash", "objective team"), "are a team"),
        (
            lambda text: text.replace("  action", "  trait k : bool ~ bernoulli(0.5)\n  action"),
            "`k`",
        ),
    ],
)
def test_what_the_theorem_does_not_cover_is_named(change: Callable[[str], str], words: str) -> None:
    text = TEXT.format(p=0.3, q=0.2, k=0.1, d=0.1, b=-5, c=0.5, e=0)
    found = certificate(model_of(change(text)), "contraction")
    assert (found.verdict, found.reason) == ("unknown", "unsupported")
    assert found.detail is not None and words in found.detail
