"""Means of next states over noises as expressions, against plain averages of many draws."""

import math

import numpy as np
import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.means import mean_roots
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import given

SPEC = """
model drift
objective nash
horizon 3
population walker as mu {{
  state x : real {domain} ~ uniform([-1, 1])
  action a : real in [-1, 1]
  noise coin : int in 0..2 ~ mix {{ 0.2 -> 1, 0.5 -> 2, else -> 0 }}
  noise bell : real ~ normal(0.5, std = 2)
  noise flat : real in [-2, 1] ~ uniform
  noise wait : real ~ exponential(rate = 2)
  noise size : real ~ gamma(1.5)
  noise pair : real[2] in [0, 1] ~ uniform
  noise turn : real mod [-1, 1] ~ uniform
  {let}
  x' = {next}
  reward r = -x^2 * mean(q.x^2 for q in walker)
}}
"""
STANDARD = {
    "uniform": lambda g, dims: g.random(dims),
    "normal": lambda g, dims: g.standard_normal(dims),
    "exponential": lambda g, dims: g.exponential(size=dims),
    "gamma": lambda g, dims, shape: g.gamma(shape, size=dims),
}
AFFINE = [
    "x + bell + coin",
    "if x > 0 then flat else 2 * bell - a",
    "x * flat + a * (if coin == 1 then wait else pair[1])",
    "if coin == 2 then 3 * size else clip(x, 0, 0.5) - pair[0]",
    "max(flat + 3, 0) + min(pair[0] * 2, 2)",
    "max(0, flat + 3) + min(2, pair[0] * 2, 4)",
    "if coin > 0 and x <= 0.3 then 1 - flat else -wait",
]
NOT_AFFINE = [
    "bell * flat",
    "if bell > x then 1 else 0",
    "max(flat, 0)",
    "exp(flat)",
    "abs(bell)",
    "bell^2 + x",
    "pair[if flat > 0 then 0 else 1]",
]


def model_of(next_state: str, domain: str = "", let: str = "") -> Model:
    return mfdsl.load(text=SPEC.format(next=next_state, domain=domain, let=let)).model


def average(
    model: Model, own: dict[tuple[str, str], float], draws: int = 4000
) -> tuple[float, float]:
    """The mean of the next state over draws of all noises, with its standard error."""
    (walker,) = model.populations
    source, values = np.random.default_rng(1), []
    for _ in range(draws):
        drawn: dict[tuple[str, str], object] = dict(own)
        for noise in walker.noises:
            type_ = model.types[noise.type]
            if noise.density is None:
                assert noise.law is not None
                name, *shape = noise.law
                value = STANDARD[str(name)](source, type_.dims or None, *shape)
            else:
                value = source.choice(3, p=[0.3, 0.2, 0.5])
            drawn["noise", noise.name] = value
        values.append(evaluate(model, given(walker.states[0].next), Environment(own=drawn)))
    return float(np.mean(values)), float(np.std(values) / math.sqrt(draws))


@pytest.mark.parametrize("next_state", AFFINE)
def test_affine_next_states_have_their_means(next_state: str) -> None:
    model = model_of(next_state)
    copies, roots = mean_roots(facts_of(model), model.populations[0])
    ((root, _),) = roots
    with_means = model.model_copy(
        update={"nodes": tuple(copies.nodes), "types": tuple(copies.types)}
    )
    for x, a in ((-0.7, 0.4), (0.2, -1.0), (0.9, 0.5)):
        own = {("state", "x"): x, ("action", "a"): a}
        found = evaluate(with_means, root, Environment(own=own))
        expected, error = average(model, own)
        assert found == pytest.approx(expected, abs=5 * error + 1e-9)


@pytest.mark.parametrize("next_state", NOT_AFFINE)
def test_other_next_states_have_no_known_mean(next_state: str) -> None:
    model = model_of(next_state)
    assert mean_roots(facts_of(model), model.populations[0])[1] == []


@pytest.mark.parametrize("next_state", ["x + bell", "if a > 0 then turn else x"])
def test_positions_on_a_ring_have_no_mean(next_state: str) -> None:
    model = model_of(next_state, "mod [-1, 1]")
    assert mean_roots(facts_of(model), model.populations[0])[1] == []


def ask(text: str, question: str, seconds: float = 1.0) -> Certificate:
    (found,) = answers(mfdsl.load(text=text).model, question, seconds=seconds)
    return found


def test_a_jump_of_the_mean_refutes_and_names_its_size() -> None:
    text = SPEC.format(domain="", let="", next="if coin == 2 and x > 0.25 then 3 * flat else x")
    found = ask(text, "lipschitz(dynamics, x)")
    assert found.verdict == "refuted" and found.upper is None and found.witness is not None
    assert found.detail is not None and found.detail.startswith("the mean of the next state jumps")
    change = found.witness["change"]
    assert change == pytest.approx(0.5 * abs(3 * -0.5 - 0.25), rel=1e-3)


@pytest.mark.parametrize(
    "next_state",
    [
        "if x + bell > 0 then 1 else 0",  # the law varies smoothly: a probit
        "if x > 0 then flat + 0.5 else -flat - 0.5",  # equal means, and even equal laws
    ],
)
def test_laws_that_do_not_jump_in_the_mean_are_not_refuted(next_state: str) -> None:
    found = ask(SPEC.format(domain="", let="", next=next_state), "lipschitz(dynamics, x)")
    assert found.verdict == "unknown"


def test_a_coupled_bound_has_the_slope_of_the_mean_below() -> None:
    """x (1 + bell / 4): the coupling gives E|1 + bell / 4|, the mean has the slope 1.125."""
    found = ask(
        SPEC.format(domain="", let="", next="x + 0.25 * bell * x"), "lipschitz(dynamics, x)"
    )
    assert found.lower == pytest.approx(1.125, rel=1e-6)
    assert found.upper is not None and found.upper >= found.lower


EVENED = """
model evened
objective nash
horizon 3
population p as mu {{
  state x : {type}
  action a : bool
  noise u : real in [0, 1] ~ uniform
  noise e : bool ~ bernoulli(0.5)
  {noise}
  x' = {next}
  reward r = -1 * mean(1 for q in p)
}}
"""
REAL, TRUTH = "real in [0, 1] ~ uniform", "bool ~ bernoulli(0.5)"


@pytest.mark.parametrize(
    "type, noise, next_state, question",
    [
        # the chance of 1 is P(u < x) = x
        (REAL, "noise c : bool ~ bernoulli(if u < x then 1 else 0)", "if c then 1 else 0", "x"),
        # and here the mean, or the share
        (
            REAL,
            "noise c : bool ~ bernoulli(if u < mean(q.x for q in p) then 1 else 0)",
            "if c then 1 else 0",
            "mu",
        ),
        (TRUTH, "noise c : bool ~ bernoulli(if u < prob(q.x for q in p) then 1 else 0)", "c", "mu"),
        (TRUTH, "let m = prob(q.x for q in p)", "u < m", "mu"),
        # either way with the same chance, whatever the share is
        (TRUTH, "let m = prob(q.x for q in p)", "(m > 0.5) == e", "mu"),
    ],
)
def test_jumps_that_noise_evens_out_are_not_refuted(
    type: str, noise: str, next_state: str, question: str
) -> None:
    text = EVENED.format(type=type, noise=noise, next=next_state)
    found = ask(text, f"lipschitz(dynamics, {question})")
    assert found.verdict == "unknown" and not found.lower


def test_a_share_that_decides_alone_jumps() -> None:
    text = EVENED.format(type=TRUTH, noise="", next="prob(q.x for q in p) > 0.5")
    assert ask(text, "lipschitz(dynamics, mu)").verdict == "refuted"


PAID = """
model paid
objective nash
horizon 3
population p as mu {{
  state x : bool ~ bernoulli(0.5)
  action a : bool
  let m = prob(q.x for q in p)
  {noise}
  x' = a
  reward r = {reward}
}}
"""


@pytest.mark.parametrize(
    "noise, reward, true",
    [
        # the mean of r is -m, of slope 1/2 in l1, and r itself reads no law
        ("noise u : bool ~ bernoulli(m)", "-(if u then 1 else 0)", 0.5),
        ("noise u : bool ~ bernoulli(m)", "-(if u == x then 1 else 0)", 0.5),
        (
            "noise u : bool ~ bernoulli(0.5)\n  noise v : bool ~ bernoulli(if u then m else 0.5)",
            "-(if v then 1 else 0)",
            0.25,
        ),
        ("noise u : real ~ normal(0, std = 1)", "-(u + 2) * m", 1.0),
    ],
)
def test_rewards_are_means_over_their_noises(noise: str, reward: str, true: float) -> None:
    text = PAID.format(noise=noise, reward=reward)
    for name in ("reward", "r"):
        found = ask(text, f"lipschitz({name}, mu)")
        assert found.verdict == "proved" and found.lower is not None and found.upper is not None
        assert found.lower <= true * (1 + 1e-9) and found.lower == pytest.approx(true, rel=1e-6)
        assert true * (1 - 1e-9) <= found.upper <= true * (1 + 2e-3)
    found = next(
        c for c in regularity(mfdsl.load(text=text).model) if c.claim == "lipschitz(reward, mu)"
    )
    assert found.upper is not None and found.upper >= true * (1 - 1e-9)


@pytest.mark.parametrize(
    "noise, reward, verdict",
    [
        # P(u < m) = m, and either way with chance 1/2
        ("noise u : real in [0, 1] ~ uniform", "-(if u < m then 1 else 0)", "unknown"),
        ("noise u : bool ~ bernoulli(0.5)", "-(if (m > 0.5) == u then 1 else 0)", "unknown"),
        ("noise u : bool ~ bernoulli(0.5)", "-(if m > 0.5 and u then 1 else 0)", "refuted"),
    ],
)
def test_only_jumps_of_the_mean_reward_refute(noise: str, reward: str, verdict: str) -> None:
    found = ask(PAID.format(noise=noise, reward=reward), "lipschitz(reward, mu)")
    assert found.verdict == verdict
    assert verdict == "refuted" or not found.lower


@pytest.mark.parametrize(
    "noise, reward, true, most",
    [
        ("", "-(if u then w / 63 else 0)", 0.25, 0.5),
        # v goes with the law through u alone
        (
            "noise v : bool ~ bernoulli(if u then 0.9 else 0.1)",
            "-(if v then w / 63 else 0)",
            0.2,
            0.4,
        ),
    ],
)
def test_of_many_outcomes_only_those_that_move_are_averaged(
    noise: str, reward: str, true: float, most: float
) -> None:
    first = "noise u : bool ~ bernoulli(m)\n  noise w : int in 0..63 ~ uniform\n  "
    found = ask(PAID.format(noise=first + noise, reward=reward), "lipschitz(reward, mu)")
    assert found.verdict == "proved" and found.upper is not None
    assert true <= found.upper <= most * (1 + 2e-3) and not found.lower
