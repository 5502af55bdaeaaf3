"""`--solver auto` on shipped games: what licenses it, and the promise that it keeps."""

import pytest

import mfdsl
from mfdsl.licence import chosen, licences
from mfdsl.settings import MOST_PROMISED
from mfdsl.structural import case_of, with_structure

# The game, the tolerance, the solver and what its licence rests on.
LICENSED = [
    ("no_interaction", 0.01, "fixed_point", "independent"),
    ("rps_standard", 0.01, "mirror_prox", "skew_affine"),
    ("equilibrium_price", 0.1, "frank_wolfe", "concave_potential"),
    ("nfg_dom", 0.1, "frank_wolfe", "potential"),
    ("nfg_biased_rps", 1.0, "soft_fixed_point", "dynamics_independent_of_mu"),
]


@pytest.mark.parametrize("name, tolerance, solver, needed", LICENSED)
def test_five_properties_license_five_games(
    name: str, tolerance: float, solver: str, needed: str
) -> None:
    game = mfdsl.load(name)
    certificates = with_structure(game.model, game.certificates)
    entry = chosen(licences(certificates, case_of(game.model, tolerance)), MOST_PROMISED)
    assert entry is not None and entry.solver == solver and needed in entry.needs
    assert entry.iterations is not None
    solution = mfdsl.solve(game, "auto", tolerance=tolerance)
    assert solution.solver == solver
    assert solution.license is not None and solution.license.verdict == "proved"
    assert solution.iterations <= entry.iterations
    assert solution.exploitability.value <= tolerance


def test_the_promise_holds_at_the_promised_iteration_without_stopping_early() -> None:
    game = mfdsl.load("left_right")
    certificates = with_structure(game.model, game.certificates)
    entry = chosen(licences(certificates, case_of(game.model, 0.5)), MOST_PROMISED)
    assert entry is not None and entry.solver == "frank_wolfe" and entry.iterations is not None
    count = int(entry.iterations)
    solution = mfdsl.solve(game, "frank_wolfe", iterations=count, tolerance=0.0)
    assert solution.exploitability.value <= 0.5


def test_a_threshold_far_above_useful_temperatures_is_no_licence() -> None:
    game = mfdsl.load("sis")
    certificates = with_structure(game.model, game.certificates)
    entries = licences(certificates, case_of(game.model, 0.01))
    soft = next(e for e in entries if e.solver == "soft_fixed_point")
    assert soft.status != "licensed"
    assert chosen(entries, MOST_PROMISED) is None
