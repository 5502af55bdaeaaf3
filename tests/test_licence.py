"""The decision table: certificates in, licensed solvers with their schedules and promises out."""

from dataclasses import replace
from math import ceil, log
from typing import Any

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate, ContradictionError, Verdict
from mfdsl.errors import UsageError
from mfdsl.findings import findings
from mfdsl.game import Game
from mfdsl.licence import Licence, chosen, licence_for, licences
from mfdsl.rules import RULES, Case
from mfdsl.runtime.solvers import rates
from mfdsl.runtime.solvers.loop import PATIENCE
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import licensed, resolve
from mfdsl.solving import prepare, run
from mfdsl.structural import case_of, with_structure
from tests.runtime.solvers.games import GAMES

FREE = "dynamics_independent_of_mu"
MODULUS = "lipschitz(reward, mu)"
FINAL = "lipschitz(final, mu)"
CASE = Case("finite", 6, 3, 1.0, plain=True, final=False, tolerance=0.01)


def certificate(claim: str, verdict: Verdict = "proved", **bounds: Any) -> Certificate:
    norm = "l1" if claim.startswith("lipschitz") else None
    subject = "reward" if claim == "range" else "player"
    bounds = {"norm": norm, "subject": subject, **bounds}
    return Certificate(claim=claim, verdict=verdict, **bounds)


def known(*claims: str, modulus: float | None = 0.4) -> list[Certificate]:
    found = [certificate(claim) for claim in claims]
    return found if modulus is None else [*found, certificate(MODULUS, upper=modulus)]


def entry(solver: str, certificates: list[Certificate], case: Case = CASE) -> Licence:
    return next(e for e in licences(certificates, case) if e.solver == solver)


def test_nothing_known_licenses_nothing_and_says_what_is_missing() -> None:
    entries = licences([], CASE)
    assert {e.solver for e in entries} == set(SOLVERS)
    assert all(e.verdict == "unknown" for e in entries)
    planners = {name for name, row in SOLVERS.items() if row.social}
    assert {e.solver for e in entries if e.status != "heuristic"} == planners
    assert all(e.status == "no" for e in entries if e.solver in planners)
    assert all(e.iterations is None and e.bound is None and not e.options for e in entries)
    found = entry("mirror_prox", known(FREE))
    assert found.missing == {"monotone": "unknown"}
    assert chosen(entries, 10**9) is None


@pytest.mark.parametrize(
    ("claims", "solver", "count"),
    [
        # G = 2.4 * 6 * log 3 / T <= 0.01
        ((FREE, "skew_affine"), "mirror_prox", 1583),
        # 4 sqrt(G * 2.4) <= 0.01
        ((FREE, "monotone"), "mirror_prox", 6_075_000),
        # 27 * 2.4 / (T + 2) <= 0.01
        ((FREE, "concave_potential"), "frank_wolfe", 6478),
        ((FREE, "potential", "monotone"), "frank_wolfe", 6478),
        (("independent",), "fixed_point", 1),
    ],
)
def test_a_property_licenses_its_solver(claims: tuple[str, ...], solver: str, count: int) -> None:
    first = licences(known(*claims), CASE)[0]
    assert (first.solver, first.status, first.verdict) == (solver, "licensed", "proved")
    assert first.iterations == pytest.approx(count, rel=1e-2)
    assert first.bound is not None
    assert first.bound(first.iterations) <= CASE.tolerance < first.bound(first.iterations - 1)
    SOLVERS[solver].config(**first.options)


def test_potentials_that_are_not_concave_need_the_range_for_a_count() -> None:
    found = entry("frank_wolfe", known(FREE, "potential"))
    assert (found.status, found.iterations) == ("licensed", None)
    assert found.options == {"step": "short", "curvature": pytest.approx(9.6)}
    ranged = [*known(FREE, "potential"), certificate("range", lower=-0.5, upper=0.5)]
    # max(2 * 6 * 1, 9.6) / sqrt(T + 1) <= 0.01
    assert entry("frank_wolfe", ranged).iterations == 1_439_999
    concave = [*ranged, certificate("concave_potential")]
    assert entry("frank_wolfe", concave).iterations == pytest.approx(6478, abs=1)


def test_mirror_descent_on_policies_needs_no_discount_and_a_range() -> None:
    claims = known(FREE, "monotone")
    assert entry("pmd", claims).missing == {"range of the reward": "unknown"}
    ranged = [*claims, certificate("range", lower=-0.4, upper=0.4)]
    found = entry("pmd", ranged)
    assert found.status == "licensed"
    assert found.options["temperature"] == pytest.approx(0.01 / (2 * 6 * 1.0986123))
    assert found.iterations is not None and found.iterations > 10**9
    discounted = entry("pmd", ranged, replace(CASE, discount=0.9))
    assert discounted.status == "heuristic"
    assert "without discount" in discounted.because


def test_a_contraction_is_licensed_where_its_bias_is_below_the_tolerance() -> None:
    # tau* = 0.4 / (2 sin(pi / 26))^2 = 6.88, whose bias is far above 0.01.
    cold = entry("soft_fixed_point", known(FREE))
    assert cold.status == "heuristic"
    assert "temperature above 6.88" in cold.because
    weak = entry("soft_fixed_point", known(FREE, modulus=5e-5))
    root = rates.contraction(6, 5e-5)[0]
    assert root < weak.options["temperature"] < 0.01 / (6 * 1.0986)
    assert weak.iterations is not None and weak.iterations > 1 and weak.bound is not None
    assert weak.bound(weak.iterations) <= 0.01 < weak.bound(weak.iterations - 1)
    # A threshold alone gives the rate of the flows, but no count.
    given = entry("soft_fixed_point", [certificate("contraction", upper=1e-4)])
    assert (given.status, given.iterations) == ("licensed", None)


def test_what_is_tested_refuted_or_in_another_norm_licenses_nothing() -> None:
    for verdict, word in (("tested", "tested, not proved"), ("refuted", "refuted")):
        found = entry("mirror_prox", [*known(FREE), certificate("monotone", verdict)])
        assert (found.status, found.verdict) == ("heuristic", verdict)
        assert found.because == f"monotone {word}"
    other = certificate(MODULUS, upper=0.4, norm="W1")
    assert entry("mirror_prox", [*known(FREE, "monotone", modulus=None), other]).missing == {
        MODULUS: "unknown"
    }
    endless = [*known(FREE, "monotone", modulus=None), certificate(MODULUS)]
    assert entry("mirror_prox", endless).status == "heuristic"


def test_moves_that_read_the_law_rule_averages_out() -> None:
    claims = [certificate(FREE, "refuted"), *known("monotone")]
    for solver in ("mirror_prox", "frank_wolfe"):
        found = entry(solver, claims)
        assert (found.status, found.verdict) == ("no", "refuted")
        assert "depend on the population" in found.because
    assert entry("pmd", claims).status == "heuristic"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (replace(CASE, horizon="infinite", stages=None), "finite horizons"),
        (replace(CASE, plain=False), "populations with finite variables"),
        (replace(CASE, final=True), "lipschitz(final, mu) is not known"),
    ],
)
def test_outside_of_the_theorems_nothing_is_promised(case: Case, reason: str) -> None:
    found = entry("mirror_prox", known(FREE, "skew_affine"), case)
    assert (found.status, found.iterations, found.verdict) == ("heuristic", None, "unknown")
    assert reason in found.because
    still = entry("mirror_prox", known(FREE, "monotone"), replace(CASE, horizon="stationary"))
    assert still.status == "no"


def test_final_rewards_count_as_one_more_law() -> None:
    case = replace(CASE, final=True, discount=0.5)
    claims = [*known(FREE, "skew_affine"), certificate("lipschitz(final, mu)", upper=2.0)]
    modulus = 0.4 * (2 - 2**-5) + 2.0 / 64
    assert entry("mirror_prox", claims, case).options == {
        "learning_rate": pytest.approx(1 / modulus)
    }


def test_properties_follow_from_each_other() -> None:
    assert findings(known("strictly_monotone"))["monotone"].verdict == "proved"
    assert findings(known("independent"))[FREE].verdict == "proved"
    both = findings([certificate("potential"), certificate("strictly_monotone")])
    assert both["concave_potential"].verdict == "proved"
    refuted = findings([certificate("monotone", "refuted")])
    assert refuted["skew_affine"].verdict == refuted["strictly_monotone"].verdict == "refuted"
    with pytest.raises(ContradictionError, match="`monotone` is both"):
        findings([certificate("monotone", "refuted"), certificate("skew_affine")])
    # A bound that a `require` asked for may fail while another one holds.
    failed = [certificate(MODULUS, "refuted", lower=0.4), certificate(MODULUS, upper=0.4)]
    assert findings(failed)[MODULUS].upper == 0.4


def test_other_options_than_those_of_the_proof_are_a_heuristic() -> None:
    claims = known(FREE, "skew_affine")
    config = SOLVERS["mirror_prox"].config
    proved = licence_for("mirror_prox", config(learning_rate=1 / 2.4000000000000004), claims, CASE)
    assert proved.status == "licensed"
    other = licence_for("mirror_prox", config(learning_rate=1.0), claims, CASE)
    assert (other.status, other.verdict, other.iterations) == ("heuristic", "unknown", None)
    assert "but the proof is for learning_rate=0.416667" in other.because
    assert licence_for("policy_iteration", SOLVERS["policy_iteration"].config(), [], CASE).verdict
    potential = known(FREE, "concave_potential")
    for step in ("search", "open"):
        options = SOLVERS["frank_wolfe"].config(step=step)
        assert licence_for("frank_wolfe", options, potential, CASE).status == "licensed"


def test_every_rule_names_a_solver_and_options_that_exist() -> None:
    assert {rule.solver for rule in RULES} <= set(SOLVERS)


def game_with(name: str, *claims: Certificate) -> Game:
    game = mfdsl.load(text=GAMES[name].text) if name in GAMES else mfdsl.load(name)
    compilation = replace(game.compilation, certificates=(*game.compilation.certificates, *claims))
    return replace(game, compilation=compilation)


def constants_of(name: str) -> list[Certificate]:
    finals = [certificate("lipschitz(final, mu)", upper=0.5)] if name == "ring" else []
    return [certificate(FREE), certificate(MODULUS, upper=GAMES[name].largest), *finals]


@pytest.mark.parametrize(
    ("name", "claim", "solver", "tolerance"),
    [
        ("dynamic_rps", "skew_affine", "mirror_prox", 0.02),
        ("ring", "concave_potential", "frank_wolfe", 0.1),
        ("cycle", "monotone", "mirror_prox", 0.5),
        ("company", "potential", "frank_wolfe", 0.2),
    ],
)
def test_auto_keeps_the_promise_of_the_property(
    name: str, claim: str, solver: str, tolerance: float
) -> None:
    game = game_with(name, *constants_of(name), certificate(claim))
    job = prepare(game, resolve(game.model, tolerance=tolerance), sweep={})
    assert (job.settings.solver, job.license.verdict) == (solver, "proved")
    promised = licence_for(
        solver,
        job.settings.config,
        with_structure(game.model, game.compilation.certificates),
        case_of(game.model, tolerance),
    )
    assert promised.iterations is not None
    assert f"at most {tolerance:g} by iteration {promised.iterations:,}" in job.license.text
    assert job.license.text.startswith(job.settings.reason)
    named = resolve(game.model, solver, tolerance=tolerance, options=promised.options)
    assert prepare(game, named, sweep={}).license == job.license
    solution = run(job)
    assert solution.status.name == "converged"
    assert solution.iterations <= promised.iterations
    assert solution.license == job.license


def test_a_licensed_run_is_not_stopped_for_want_of_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Mirror-prox on rock, paper, scissors may rise above the uniform policy at first.
    seen = []
    monkeypatch.setattr("mfdsl.solving.run_loop", lambda *args, **flags: seen.append(flags))
    game = game_with("dynamic_rps", *constants_of("dynamic_rps"), certificate("skew_affine"))
    run(prepare(game, resolve(game.model, tolerance=0.02), sweep={}))
    run(prepare(game, resolve(game.model, "omd"), sweep={}))
    assert [flags["patience"] for flags in seen] == [None, PATIENCE]


def test_auto_solves_a_game_without_interaction_by_one_best_response() -> None:
    game = mfdsl.load("no_interaction")
    job = prepare(game, resolve(game.model), sweep={})
    assert job.license.verdict == "proved"
    solution = run(job)
    assert (solution.solver, solution.iterations) == ("fixed_point", 1)


def test_a_promise_that_is_too_far_off_leaves_the_heuristic_with_both_figures() -> None:
    game = game_with("cycle", *constants_of("cycle"), certificate("monotone"))
    settings = licensed(resolve(game.model), game.model, game.compilation.certificates)
    assert settings.solver == "omd"
    assert "mirror_prox is proved but may need" in settings.reason
    job = prepare(game, resolve(game.model), sweep={})
    assert job.license.verdict != "proved"
    # With few iterations allowed, a count above them is not chosen; without a limit it sets one.
    claims = game.compilation.certificates
    short = licensed(resolve(game.model, iterations=100, tolerance=0.5), game.model, claims)
    assert short.solver == "omd"
    free = licensed(resolve(game.model, tolerance=0.1), game.model, claims)
    promised = licences(claims, case_of(game.model, 0.1))[0]
    assert free.solver == promised.solver == "mirror_prox"
    assert free.iterations == promised.iterations == ceil(16 * 1.8**2 * 4 * log(2) / 0.1**2)


def test_a_named_solver_is_used_and_labelled() -> None:
    claims = [*constants_of("cycle"), certificate("skew_affine", "refuted")]
    game = game_with("cycle", *claims)
    job = prepare(game, resolve(game.model, "mirror_prox"), sweep={})
    assert job.settings.solver == "mirror_prox"
    assert job.license.verdict in ("refuted", "unknown")
    assert "a heuristic here" in job.license.text


def test_certificates_say_nothing_of_a_sweep() -> None:
    text = GAMES["cycle"].text.replace("model cycle", "model cycle\nparam c : real in [0, 9] = 1")
    text = text.replace("0.5 * mu", "0.5 * c * mu")
    game = mfdsl.load(text=text)
    claims = (*constants_of("cycle"), certificate("monotone"))
    game = replace(game, compilation=replace(game.compilation, certificates=claims))
    sweep = {"c": (1.0, 5.0)}
    job = prepare(game, resolve(game.model, tolerance=0.5), sweep=sweep)
    assert (job.settings.solver, job.license.verdict) == ("omd", "unknown")
    assert "for swept values" in job.license.text


def test_a_solver_that_is_not_defined_on_a_game_is_refused_before_it_runs() -> None:
    game = mfdsl.load("contraction")
    with pytest.raises(UsageError, match="mirror_prox averages flows over time"):
        prepare(game, resolve(game.model, "mirror_prox"), sweep={})
    game = mfdsl.load("sis")
    with pytest.raises(UsageError, match="`dynamics_independent_of_mu`"):
        prepare(game, resolve(game.model, "frank_wolfe"), sweep={})


def test_a_population_that_sees_a_major_is_not_alone() -> None:
    text = """
model watched
objective nash
horizon 2
major one {
  state  x : int in 0..1 = 0
  action a : int in 0..1
  x' = a
  reward r = x
}
population p {
  state  z : int in 0..1 = 0
  action b : int in 0..1
  z' = b
  reward r = -z * one.x
}
"""
    game = mfdsl.load(text=text)
    assert with_structure(game.model, ()) == ()
    found = with_structure(mfdsl.load("no_interaction").model, ())
    assert (found[0].claim, found[0].verdict) == ("independent", "proved")


def test_majors_who_face_each_other_are_no_single_agents() -> None:
    """Nothing reads a law, and still one best response of each leads round and round."""
    text = """
model pennies
objective nash
horizon 1
major A {
  state  z : bool = false
  action a : bool
  z' = z
  reward r = if A.a == B.b then (if A.a then 3 else 1) else 0
}
major B {
  state  w : bool = false
  action b : bool
  w' = w
  reward r = if A.a == B.b then (if A.a then -3 else -1) else 0
}
population p {
  state  x : bool = false
  action c : bool
  x' = x
  reward r = ind(c)
}
"""
    game = mfdsl.load(text=text)
    assert findings(game.certificates)["independent"].verdict == "proved"
    entries = licences(with_structure(game.model, game.certificates), case_of(game.model, 0.01))
    assert all(e.status != "licensed" for e in entries)
    found = next(e for e in entries if e.solver == "fixed_point")
    assert found.because == "independent proved, but others may face what `A` does"
    assert mfdsl.solve(game, "fixed_point", iterations=20).exploitability.value >= 1


def test_what_policies_do_not_see_licenses_nothing() -> None:
    text = """
model veiled
objective nash
horizon 2
population p as mu {
  state  x : bool ~ bernoulli(0.5)
  trait  k : bool ~ bernoulli(0.5)
  action a : bool
  x' = k
  reward r = ind(a == k)LAW
  observe SEEN
}
"""
    for law in ("", " - mu[a = a]"):
        for seen, whole in (("x, k, t", True), ("x, t", False), ("law(p)", False)):
            game = mfdsl.load(text=text.replace("LAW", law).replace("SEEN", seen))
            entries = licences(
                with_structure(game.model, game.certificates), case_of(game.model, 0.1)
            )
            some = any(e.status == "licensed" for e in entries)
            assert some == (whole and not law), seen


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("left_right", {FREE: None, FINAL: 0.0}),
        ("sis", {MODULUS: 0.0, FINAL: 0.0}),
        ("random_linear", {FINAL: 0.0}),
        ("linear_quadratic", {FINAL: 0.0}),
        ("ring", {FREE: None}),
    ],
)
def test_what_never_reads_the_law_is_known_from_the_model(
    name: str, claims: dict[str, float | None]
) -> None:
    model = (mfdsl.load(text=GAMES[name].text) if name in GAMES else mfdsl.load(name)).model
    found = with_structure(model, ())
    assert {c.claim: c.upper for c in found} == claims
    assert all(c.verdict == "proved" for c in found)


def test_a_reward_that_is_paid_with_the_chance_of_a_law_reads_it() -> None:
    text = """model lottery
objective nash
horizon 2
population p as mu {
  state  x : int in 0..1 ~ uniform
  action a : int in 0..1
  noise  e : bool ~ bernoulli(mu[a = a])
  x' = a
  reward luck = ind(e)
}
"""
    found = with_structure(mfdsl.load(text=text).model, ())
    assert {c.claim: c.upper for c in found} == {FINAL: 0.0}


def test_moduli_are_found_under_the_names_that_a_spec_gives() -> None:
    asked = certificate("lipschitz(reward, driver) <= 3", upper=2.5)
    assert findings([asked])[MODULUS].upper == 2.5
    assert findings([certificate("lipschitz(final, mu)", upper=1.0)])[FINAL].upper == 1.0
    term = certificate("lipschitz(crowding, mu)", upper=1.0)
    assert MODULUS not in findings([term])
    own = certificate("lipschitz(reward, x)", upper=1.0, norm="l2")
    assert MODULUS not in findings([own])


GRID = """model alone
horizon 3
objective nash
population p {{
  state  x : {kind} = {start}
  action a : int in 0..1
  {move}
  reward r = x - 0.1 * a
}}
"""


@pytest.mark.parametrize(
    ("kind", "start", "move", "counts"),
    [
        ("real in [0, 1]", "0.3", "x' = clip(0.7 * x + 0.2 * a)", False),
        ("int in 0..4", "0", "x' = clip(x + a)", True),
        (
            "int in 0..4",
            "0",
            "noise z : real ~ normal(0, std = 1)\n  x' = clip(x + a * ind(z > 0.3))",
            False,
        ),
    ],
)
def test_no_count_is_promised_of_tables_of_another_game(
    kind: str, start: str, move: str, counts: bool
) -> None:
    """Exploitability on a grid is an estimate: its first best response is no equilibrium."""
    game = mfdsl.load(text=GRID.format(kind=kind, start=start, move=move))
    found = with_structure(game.model, game.certificates)
    for solver in ("fixed_point", "policy_iteration"):
        licence = entry(solver, list(found), case_of(game.model, 1e-6))
        assert licence.status == "licensed"
        assert (licence.iterations is not None, licence.bound is not None) == (counts, counts)
        assert ("is put on points" in licence.because) is not counts
