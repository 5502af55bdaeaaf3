"""Licences of games with several populations, and of stationary ones: figures and promises."""

from dataclasses import replace
from math import log

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.findings import FINAL_MODULUS, REWARD_MODULUS, findings
from mfdsl.game import Game
from mfdsl.licence import Licence, licences
from mfdsl.product import added_up
from mfdsl.runtime.solution import Solution
from mfdsl.structural import case_of, with_structure
from tests.runtime.solvers.games import GAMES

TWO = """model two
enum Side {{ heads, tails, edge }}
objective nash
horizon 3
population x as mu {{
  state  s : Side = heads
  action a : Side
  s' ~ mix {{ 0.5 -> a, else -> s }}
  reward r = {first}
  agents 1000
}}
population y as nu {{
  state  s : Side = tails
  action a : Side
  s' ~ mix {{ 0.5 -> a, else -> s }}
  reward r = {second}
  agents 1000
}}
"""
# x wants to be where y is, who wants to be elsewhere: skew on the product, modulus 0.25 each.
PENNIES = TWO.format(first="0.5 * nu[s]", second="-0.5 * mu[s]")
# Both avoid each other and their own: a concave potential; moduli 0.5 for one's own, 0.25 else.
CROWDS = TWO.format(first="-mu[s] - 0.5 * nu[s]", second="-nu[s] - 0.5 * mu[s]")
# Both want to be together: a potential that is not concave.
FRIENDS = TWO.format(first="0.5 * nu[s]", second="0.5 * mu[s]")
# Hardly anything: a soft response contracts.
STRANGERS = TWO.format(first="0.001 * nu[s]", second="0.004 * mu[s]")

# Half of the moves fail and lead anywhere, so that laws forget; delta_P is 1/2 for two members and
# for two actions. The modulus of the reward is 0.01.
FORGETFUL = """model forgetful
enum Place {{ left, middle, right }}
objective nash
horizon stationary
discount 0.5
population walker as mu {{
  state  x : Place = left
  action a : Place
  x' ~ mix {{ {chance} -> a, else -> uniform }}
  reward company = 0.02 * mu[x]
  cost   right   = 0.1 * ind(x == right)
  agents 1000
}}
"""

HISTORY = 400


def entry(game: Game, solver: str, tolerance: float, *claims: str) -> Licence:
    """The licence when these claims are proved beside what the game has."""
    given = tuple(proved(claim) for claim in claims)
    certificates = with_structure(game.model, (*game.certificates, *given))
    found = licences(certificates, case_of(game.model, tolerance))
    return next(e for e in found if e.solver == solver)


def proved(claim: str) -> Certificate:
    subject = "dynamics" if claim.startswith("dynamics") else "reward"
    return Certificate(claim=claim, subject=subject, verdict="proved")


def modulus(claim: str, upper: float) -> Certificate:
    return Certificate(claim=claim, subject="reward", verdict="proved", upper=upper, norm="l1")


def run(game: Game, found: Licence, iterations: int) -> Solution:
    """A run under the options of the proof that does not stop early."""
    options = dict(found.options)
    return mfdsl.solve(game, found.solver, iterations=iterations, tolerance=0.0, options=options)


def test_moduli_of_all_populations_add_up() -> None:
    for text, upper in ((PENNIES, 0.5), (CROWDS, 1.5), (STRANGERS, 0.0025)):
        game = mfdsl.load(text=text)
        case = case_of(game.model, 0.1)
        assert (case.actions, case.plain, case.populations) == (9, True, ("x", "y"))
        known = findings(added_up(game.certificates, case))
        assert known[REWARD_MODULUS].upper == pytest.approx(upper, rel=1e-9)
        assert known["range of the reward"].upper == pytest.approx(2 * upper, rel=1e-9)


def test_a_modulus_that_is_missing_or_there_twice_proves_nothing() -> None:
    game = mfdsl.load(text=PENNIES)
    case, certificates = case_of(game.model, 0.1), game.certificates
    (one,) = [c for c in certificates if c.subject == "reward of x" and c.norm == "l1"]
    for changed in (
        tuple(c for c in certificates if c is not one),
        (*certificates, one),
        tuple(replace_norm(c) if c is one else c for c in certificates),
    ):
        assert REWARD_MODULUS not in findings(added_up(changed, case))
    alone = replace(case, populations=(), readings=())
    assert added_up(certificates, alone) is certificates


def replace_norm(certificate: Certificate) -> Certificate:
    return certificate.model_copy(update={"norm": "W1"})


@pytest.mark.parametrize(
    ("text", "claims", "solver", "tolerance", "count"),
    [
        # M H sum log|A_k| / T with M = 3 (0.25 + 0.25)
        (PENNIES, ("skew_affine",), "mirror_prox", 0.05, 1.5 * 3 * 2 * log(3) / 0.05),
        # 27 M / (T + 2) with M = 3 (0.5 + 0.25) 2
        (CROWDS, ("potential", "monotone"), "frank_wolfe", 0.4, 27 * 4.5 / 0.4 - 2),
        # (max(2 H (0.5 + 0.5), 4 M) / tolerance)^2 with M = 1.5
        (FRIENDS, ("potential",), "frank_wolfe", 0.4, (6 / 0.4) ** 2 - 1),
    ],
)
def test_several_populations_keep_the_promise_of_their_product(
    text: str, claims: tuple[str, ...], solver: str, tolerance: float, count: float
) -> None:
    game = mfdsl.load(text=text)
    found = entry(game, solver, tolerance, *claims)
    assert found.status == "licensed" and found.bound is not None
    assert found.iterations == pytest.approx(count, rel=0.02)
    gaps = [r.exploitability for r in run(game, found, int(found.iterations or 0)).history]
    if solver == "frank_wolfe":
        gaps = [min(gaps[: k + 1]) for k in range(len(gaps))]
    assert gaps[0] > tolerance / 10
    assert all(gap <= found.bound(k) for k, gap in enumerate(gaps))
    assert gaps[-1] <= tolerance


def test_auto_takes_the_licence_of_two_populations() -> None:
    solution = mfdsl.solve(mfdsl.load(text=PENNIES), "auto", tolerance=0.05)
    assert solution.license is not None
    assert (solution.solver, solution.license.verdict) == ("mirror_prox", "proved")
    assert "skew_affine proved" in solution.license.text
    assert solution.exploitability.value <= 0.05
    assert solution.exploitability.value == sum(solution.exploitability.per_population.values())


def test_a_monotone_product_has_the_slower_promise() -> None:
    game = mfdsl.load(text=CROWDS)
    found = entry(game, "mirror_prox", 1.0, "monotone")
    # 4 sqrt(M H 2 log 3 M / T) <= 1
    assert found.iterations == pytest.approx(16 * 4.5**2 * 6 * log(3), rel=0.01)
    assert found.options == {"learning_rate": pytest.approx(1 / 4.5)}
    assert found.bound is not None
    gaps = [r.exploitability for r in run(game, found, HISTORY).history]
    assert all(gap <= found.bound(k) for k, gap in enumerate(gaps))


def test_populations_that_hardly_meet_contract() -> None:
    game = mfdsl.load(text=STRANGERS)
    found = entry(game, "soft_fixed_point", 1.0)
    assert found.status == "licensed" and found.bound is not None
    # tau* of three stages with the modulus 0.0025 is 0.0126, the highest temperature 1 / (6 log 3).
    assert found.options["temperature"] == pytest.approx((0.01262 + 1 / (6 * log(3))) / 2, rel=1e-3)
    gaps = [r.exploitability for r in run(game, found, 20).history]
    assert all(gap <= found.bound(k) for k, gap in enumerate(gaps))


def test_monotone_between_flows_counts_as_monotone() -> None:
    case = case_of(mfdsl.load(text=GAMES["ring"].text).model, 0.5)
    numbers = [modulus(REWARD_MODULUS, 1.0), modulus(FINAL_MODULUS, 0.5)]
    on_flows = [*numbers, proved("dynamics_independent_of_mu"), proved("monotone_on_flows")]
    at_laws = [*numbers, proved("dynamics_independent_of_mu"), proved("monotone")]
    for claims in ([], [proved("potential")]):
        found, strong = (
            {e.solver: e for e in licences([*certificates, *claims], case)}
            for certificates in (on_flows, at_laws)
        )
        assert {s for s, e in found.items() if e.status == "licensed"} >= {"mirror_prox"}
        for solver in ("mirror_prox", "frank_wolfe"):
            assert found[solver].iterations == strong[solver].iterations
            assert found[solver].options == strong[solver].options
            assert (found[solver].iterations is None) == (solver == "frank_wolfe" and not claims)


def test_a_stationary_law_that_forgets_is_licensed_with_a_count() -> None:
    game = mfdsl.load(text=FORGETFUL.format(chance="0.5"))
    found = entry(game, "soft_fixed_point", 0.1)
    assert found.status == "licensed" and found.bound is not None
    # tau* = 0.5 * (0.01 / 0.5) / (1 - 0.5) = 0.02, the highest temperature 0.1 * 0.5 / log 3.
    assert found.options["temperature"] == pytest.approx((0.02 + 0.05 / log(3)) / 2, rel=1e-4)
    assert found.iterations is not None and found.iterations < 20
    gaps = [r.exploitability for r in run(game, found, 15).history]
    assert gaps[0] > 0.01
    assert all(gap <= found.bound(k) for k, gap in enumerate(gaps))
    solution = mfdsl.solve(game, "auto", tolerance=0.1)
    assert solution.license is not None
    assert (solution.solver, solution.license.verdict) == ("soft_fixed_point", "proved")
    assert solution.exploitability.value <= 0.1
    cold = entry(game, "soft_fixed_point", 0.04)
    assert cold.status == "heuristic" and "a temperature above 0.02" in cold.because


def test_moves_that_read_the_law_contract_without_a_count() -> None:
    game = mfdsl.load(text=FORGETFUL.format(chance="0.4 + 0.02 * mu[left]"))
    found = entry(game, "soft_fixed_point", 0.1)
    assert (found.status, found.iterations, found.bound) == ("licensed", None, None)
    solution = mfdsl.solve(game, "auto", tolerance=0.1)
    assert (solution.solver, solution.status.name) == ("soft_fixed_point", "converged")


def test_what_is_no_product_of_flows_is_not_covered() -> None:
    game = mfdsl.load("m3fg_sis")
    case = case_of(game.model, 0.1)
    assert (case.plain, case.populations, case.readings) == (False, (), ())
    assert all(e.status != "licensed" for e in licences(game.certificates, case))
