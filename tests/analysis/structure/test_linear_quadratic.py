"""Linear-quadratic players: their matrices, and the term that spoils the others."""

from pathlib import Path

import numpy as np
import pytest

from mfdsl.compiler.analysis.structure.linear_quadratic import linear_quadratic_form
from mfdsl.compiler.driver import compile_file
from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import copies_of, model_of

SPECS = Path(__file__).resolve().parents[3] / "specs"

TEXT = """model lq
objective nash
horizon 4
environment weather {
  state w : real ~ normal(0, std = 1)
  noise z : real ~ normal(0, std = 1)
  w' = 0.5 * w + z
}
population agent {
  state  x : DOMAIN ~ START
  action u : real
  noise  e : real ~ normal(0, std = 0.3)
  x' = NEXT
  cost running = COST
}
"""


def player(next_: str, cost: str, domain: str = "real", start: str = "normal(0, std = 1)") -> Model:
    text = TEXT.replace("DOMAIN", domain).replace("NEXT", next_).replace("COST", cost)
    return model_of(text.replace("START", start))


def form(model: Model, name: str = "agent"):  # type: ignore[no-untyped-def]
    return linear_quadratic_form(model, copies_of(model), model.player(name))


@pytest.mark.parametrize("name", ["lq_game", "lq_control", "lq_common_noise"])
def test_shipped_games_are_linear_quadratic(name: str) -> None:
    model = compile_file(SPECS / f"{name}.mfg").require_model()
    for one in model.populations:
        assert form(model, one.name)[0].verdict == "proved"


@pytest.mark.parametrize("name", ["lq_major", "lq_major_control"])
def test_majors_are_linear_quadratic_too(name: str) -> None:
    model = compile_file(SPECS / f"{name}.mfg").require_model()
    for who in ("leader", "follower"):
        assert form(model, who)[0].verdict == "proved"


def test_the_matrices_of_the_tracking_game() -> None:
    model = compile_file(SPECS / "lq_game.mfg").require_model()
    _, found = form(model)
    assert found is not None
    np.testing.assert_allclose(found.A, [[[1.0]]])
    np.testing.assert_allclose(found.B, [[[0.5]]])
    np.testing.assert_allclose(found.means, [[[0.1]]])
    np.testing.assert_allclose(found.Q, [[[-0.6]]])
    np.testing.assert_allclose(found.R, [[[-0.5]]])
    at = found.z.index(("mean", "agent.x"))
    assert found.running.matrix[0, 0, at] == pytest.approx(0.4)
    assert found.final.matrix[0, 0, 0] == pytest.approx(-0.75)


def test_matrices_give_the_values_of_the_interpreter() -> None:
    cost = "(x - 0.7 * mean(q.x for q in agent) + weather.w)^2 / 2 + u^2 + 0.3 * x * u + 2 * x + 1"
    model = player("0.9 * x + 2 * u - mean(q.u for q in agent) + 0.1 * e + weather.w + 3", cost)
    certificate, found = form(model)
    assert certificate.verdict == "proved" and found is not None
    rng = np.random.default_rng(0)
    agent = model.player("agent")
    for _ in range(5):
        values = dict(zip(found.z, rng.normal(size=len(found.z)), strict=True))
        member = {
            ("state", "x"): values["mean", "agent.x"],
            ("action", "u"): values["mean", "agent.u"],
        }
        own = {(s, n): v for (s, n), v in values.items() if s in ("state", "action", "noise")}
        z = np.array([values[name] for name in found.z])
        reward = found.running.constant[0] + found.running.linear[0] @ z
        reward += z @ found.running.matrix[0] @ z
        after = found.offset[0] + found.slopes[0] @ z
        shared = {("weather", "state", "w"): values["common", "weather.w"]}
        assert reward == pytest.approx(_value(model, agent.rewards[0].node, own, member, shared))
        assert after[0] == pytest.approx(_value(model, agent.states[0].next, own, member, shared))


def _value(model, node, own, member, shared):  # type: ignore[no-untyped-def]
    from mfdsl.compiler.ir.interpret import Environment, evaluate

    laws = {"agent": [(member, 1.0)]}
    return evaluate(model, node, Environment(own=own, laws=laws, common=shared))


def test_coefficients_may_vary_with_time() -> None:
    certificate, found = form(player("x + (1 + t) * u", "sqrt(1 + t) * x^2"))
    assert certificate.verdict == "proved" and found is not None
    np.testing.assert_allclose(found.B[:, 0, 0], [1, 2, 3, 4])
    np.testing.assert_allclose(found.Q[:, 0, 0], -np.sqrt([1, 2, 3, 4]))


SPOILED = [
    ("x + u", "u^3", "u^3 in running"),
    ("x + u", "abs(u)", "abs(u) in running"),
    ("x * u", "u^2", " in next x"),
    ("x + u", "x^2 * mean(q.x for q in agent)", "in running"),
    ("x + u", "mean(q.x^2 for q in agent) * x", "in running"),
    ("sin(x) + u", "u^2", "sin(x) in next x"),
    ("x + e * u", "u^2", "in next x"),
]


@pytest.mark.parametrize(("next_", "cost", "guilty"), SPOILED)
def test_the_guilty_term_is_named(next_: str, cost: str, guilty: str) -> None:
    found, matrices = form(player(next_, cost))
    assert found.verdict == "refuted" and matrices is None
    assert found.detail is not None and guilty in found.detail
    assert found.witness is not None and found.culprit is not None


def test_terms_that_cancel_spoil_nothing() -> None:
    assert (
        form(player("x + u", "(u + x)^3 - u^3 - 3 * u^2 * x - 3 * u * x^2 - x^3 + x^2"))[0].verdict
        == "proved"
    )


def test_bounds_are_mentioned() -> None:
    model = player("clip(x + u)", "u^2", "real in [-1, 1]", "uniform")
    found, matrices = form(model)
    assert (found.verdict, found.reason) == ("unknown", "domain")
    assert matrices is not None and matrices.B[0, 0, 0] == 1
    assert form(compile_file(SPECS / "lq_ring.mfg").require_model(), "bank")[0].verdict == "refuted"


CUTS = [
    ("min(x + u, 1)", "refuted"),
    ("max(x + u, 0)", "refuted"),
    ("clip(x + u, -1, 1)", "refuted"),
    ("min(x + u, 1000)", "unknown"),
]


@pytest.mark.parametrize(("next_", "verdict"), CUTS)
def test_what_is_cut_off_is_not_linear(next_: str, verdict: str) -> None:
    """From 0 by 0.5 to 0.5, by 2 to 1 and not to 2."""
    found, matrices = form(player(next_, "x^2 + u^2"))
    assert found.verdict == verdict, found.detail
    assert (matrices is None) == (verdict == "refuted")
    if verdict == "refuted":
        assert found.witness is not None and found.culprit is not None
        assert found.witness["difference of order 2"] != 0
    if verdict == "unknown":
        assert found.reason == "domain"


def test_ends_that_never_bind_cut_nothing_off() -> None:
    trait = "  trait  c : real in [0, 1] ~ uniform\n  action u : real\n"
    text = TEXT.replace("  action u : real\n", trait).replace("DOMAIN", "real")
    text = text.replace("START", "normal(0, std = 1)").replace("COST", "x^2 + u^2")
    for next_, verdict in (("clip(c, 0, 1)", "proved"), ("clip(c, 0, 0.9)", "refuted")):
        found, matrices = form(model_of(text.replace("NEXT", next_)))
        assert found.verdict == verdict, found.detail
        assert (matrices is None) == (verdict == "refuted")


def test_majors_are_cut_off_too() -> None:
    text = """model led
objective nash
horizon 4
major leader {
  state  y : real = 0
  action v : real
  y' = NEXT
  reward r = -y^2 - v^2
}
population agent {
  state  x : real ~ normal(0, std = 1)
  action u : real
  x' = x + u + leader.y
  reward r = -x^2 - u^2
}
"""
    for next_, verdict in (("y + v", "proved"), ("max(y + v, -0.5)", "refuted")):
        model = model_of(text.replace("NEXT", next_))
        assert form(model, "leader")[0].verdict == verdict
        assert form(model)[0].verdict == "proved"
