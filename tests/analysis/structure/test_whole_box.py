"""Structure for all values of the parameters: against the ends, and against values in between."""

import numpy as np
import pytest

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.opened import bound, box_of
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import certificate, certificates, model_of

GAME = """model box

objective nash
horizon 3
param k : real in {range} = {start}
param c : real in [0, 1] = 0.2

population car as mu {{
  state  x : int in 0..3 ~ uniform
  action a : int in 0..1
  x' ~ {kernel}
  reward r = {reward}
}}
"""
STAY = "mix { 0.5 -> if a == 1 then 3 - x else x, else -> x }"
MOVES = "mix { c -> if a == 1 then 3 - x else x, else -> x }"


def game(reward: str, range_: str = "[0.1, 2]", kernel: str = STAY) -> Model:
    start = range_.strip("[]").split(",")[1]
    return model_of(GAME.format(reward=reward, range=range_, start=start, kernel=kernel))


def all_over(model: Model, claim: str, seconds: float = 6.0) -> dict[str, Certificate]:
    """What is decided together with a claim over the box, by claim."""
    found = structure_certificates(model, seconds, box=box_of(model), claims={claim})
    return {c.claim: c for c in found}


def over(model: Model, claim: str) -> Certificate:
    return all_over(model, claim)[claim]


TABLE = [
    ("-k * mu[x]", "[0.1, 2]", "monotone", "proved"),
    ("-k * mu[x]", "[-1, 2]", "monotone", "refuted"),
    ("-k * mu[x]", "[0.1, 2]", "strictly_monotone", "proved"),
    ("-k * mu[x]", "[0, 2]", "strictly_monotone", "refuted"),
    ("-k^2 * mu[x]", "[-1, 2]", "monotone", "proved"),
    ("-(1 - c) * k * mu[x]", "[0.1, 2]", "monotone", "proved"),
    ("(c - k) * mu[x]", "[0.1, 2]", "monotone", "refuted"),
    ("-log(k + mu[x])", "[0.1, 2]", "monotone", "proved"),
    ("-c * x * mean(y.x for y in car) - k", "[0.1, 2]", "monotone", "proved"),
    ("-mu[x] - c * mu[rem(x + 1, 4)] - k", "[0.1, 2]", "monotone", "proved"),
    ("-mu[x] - c * mu[rem(x + 1, 4)] - k", "[0.1, 2]", "potential", "refuted"),
    ("k * mu[0] * mu[0] - c * mu[1]", "[-1, 2]", "monotone", "proved"),
    ("-k * mu[x] - c", "[0.1, 2]", "potential", "proved"),
    ("-k * mu[x] - c", "[0.1, 2]", "existence", "proved"),
    ("-k * x * x - c * a", "[0.1, 2]", "independent", "proved"),
    ("-(k - k) * mu[x] - c * a", "[0.1, 2]", "independent", "proved"),
    ("-k * mu[x] - c * a", "[-1, 2]", "independent", "refuted"),
]


@pytest.mark.parametrize(("reward", "range_", "claim", "verdict"), TABLE)
def test_known_boxes(reward: str, range_: str, claim: str, verdict: str) -> None:
    model = game(reward, range_)
    found = over(model, claim)
    assert found.verdict == verdict, found.detail
    assert f"k in {range_}" in found.assumptions or "k" not in reward
    if verdict != "refuted" or claim == "independent":
        return
    assert found.witness is not None
    values = {n: float(found.witness[n]) for n in box_of(model) if n in found.witness}
    assert values
    assert certificate(bound(model, values), claim).verdict == "refuted"


@pytest.mark.parametrize("seed", range(6))
def test_what_is_proved_over_a_box_holds_at_each_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, 2).round(2)
    reward = f"({a} * k - 1.5 * c - 0.5) * mu[x] + {b} * c * mu[rem(x + 1, 4)]"
    model = game(reward, "[-1, 2]")
    for claim in ("monotone", "potential", "monotone_on_flows"):
        found = over(model, claim)
        points = [
            certificate(bound(model, {"k": k, "c": c}), claim).verdict
            for k in (-1.0, 0.3, 2.0)
            for c in (0.0, 0.6, 1.0)
        ]
        if found.verdict == "proved":
            assert set(points) == {"proved"}
        if "refuted" in points[::2] and claim != "monotone_on_flows":
            assert found.verdict == "refuted"


def test_flows_that_move_with_a_parameter() -> None:
    """What nobody reaches counts nowhere in the box; a bound value that fails refutes."""
    never = "mix { c -> 0, else -> min(x, 1) }"
    model = game("if x >= 2 then mu[x] else -k * mu[x]", kernel=never)
    assert over(model, "monotone").verdict == "refuted"
    assert over(model, "monotone_on_flows").verdict == "proved"
    found = over(game("k * mu[x]", kernel=MOVES), "monotone_on_flows")
    assert found.verdict == "refuted"
    assert found.witness is not None and {"k", "c"} <= set(found.witness)


def test_a_threshold_covers_the_box() -> None:
    model = game("-k * mu[x]")
    box = over(model, "contraction")
    assert box.verdict == "proved" and box.upper is not None
    for k in (0.1, 1.0, 2.0):
        here = certificate(bound(model, {"k": k}), "contraction")
        assert here.upper is not None and here.upper <= box.upper * (1 + 1e-9)


def test_linear_quadratic_with_coefficients_that_vary() -> None:
    text = """model lq
objective nash
horizon 3
param k : real in [0.5, 2] = 1
param p : real in [1, 3] = {p}
population agent as mu {{
  state x : real ~ normal(0, std = 1)
  action u : real
  noise e : real ~ normal(0, std = 1)
  x' = x + k * u + e
  reward r = -k * (u - {power})^2 - p * x^2
}}
"""
    model = model_of(text.format(p="2", power="k * mean(y.x for y in agent)"))
    assert over(model, "linear_quadratic").verdict == "proved"
    cubic = model_of(text.format(p="2", power="k * x * x"))
    assert over(cubic, "linear_quadratic").verdict == "refuted"


def test_a_parameter_that_nothing_reads_is_not_in_the_box() -> None:
    assert list(box_of(game("-k * mu[x]"))) == ["k"]


def test_a_parameter_that_makes_actions_legal_is_in_the_box() -> None:
    """Where k is 1 nobody may take the action whose mass raises rewards; where k is 2 all may."""
    model = model_of("""model masked
objective nash
horizon 2
param k : real in [0, 2] = 1
population agent as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..2 where a <= k
  x' = x
  reward crowd = -mu[a = a] + 5 * ind(a == 2) * mu[a = 2]
}
""")
    at_1, at_2 = (certificates(bound(model, {"k": k}), "monotone") for k in (1.0, 2.0))
    box = all_over(model, "monotone", 2.0)
    for claim in ("monotone", "strictly_monotone", "concave_potential", "monotone_on_flows"):
        assert at_1[claim].verdict == "proved"
        assert at_2[claim].verdict == "refuted"
        assert box[claim].verdict != "proved"


def test_a_parameter_may_make_an_action_legal_between_its_ends_alone() -> None:
    """Rewards do not read k, so its ends would do for them; the action is legal around 1 only."""
    model = model_of("""model masked
objective nash
horizon 2
param k : real in [0, 2] = 0
population agent as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..2 where a < 2 or (k > 0.75 and k < 1.25)
  x' = x
  reward crowd = -mu[a = a] + 5 * ind(a == 2) * mu[a = 2] + 0 * k
}
""")
    for k, verdict in ((0, "proved"), (1, "refuted"), (2, "proved")):
        assert certificate(bound(model, {"k": float(k)}), "monotone").verdict == verdict
    assert all_over(model, "monotone", 2.0)["monotone"].verdict != "proved"
