"""Every shipped game has its certificates, and they do not contradict each other."""

from pathlib import Path

import pytest

from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.driver import compile_file
from mfdsl.findings import findings

SPECS = sorted((Path(__file__).resolve().parents[3] / "specs").glob("*.mfg"))

KNOWN = {
    "beach_bar": {"monotone": "proved", "potential": "proved", "skew_affine": "refuted"},
    "contraction": {"monotone": "proved", "concave_potential": "proved"},
    "crowd_avoidance": {"monotone": "refuted", "potential": "proved"},
    "equilibrium_price": {"monotone": "proved", "potential": "proved"},
    "lasry_lions_chain": {"monotone": "proved", "strictly_monotone": "proved"},
    "left_right": {"monotone": "proved", "existence": "proved"},
    "linear_quadratic": {"existence": "unknown", "monotone": "refuted"},
    "no_interaction": {"independent": "proved"},
    "predator_prey": {"monotone": "proved", "potential": "refuted"},
    "price_formation": {"linear_quadratic": "proved", "monotone": "proved"},
    "rock_paper_scissors": {"monotone": "refuted", "dynamics_independent_of_mu": "proved"},
    "rps_standard": {"skew_affine": "proved", "potential": "refuted"},
    "sis": {"dynamics_independent_of_mu": "refuted", "existence": "proved"},
    "two_bars": {"monotone": "refuted", "potential": "proved"},
}


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_shipped_games_are_certified(path: Path) -> None:
    model = compile_file(path).require_model()
    found = structure_certificates(model, 2.0)
    findings(found)
    verdicts = {c.claim: c.verdict for c in found}
    assert {"independent", "monotone", "potential", "existence", "contraction"} <= set(verdicts)
    for claim, verdict in KNOWN.get(path.stem, {}).items():
        assert verdicts[claim] == verdict, claim
    for certificate in found:
        if certificate.verdict == "unknown":
            assert certificate.reason is not None and certificate.detail


def test_the_time_limit_leaves_claims_unknown() -> None:
    model = compile_file(SPECS[0]).require_model()
    assert {c.reason for c in structure_certificates(model, 0.0)} == {"budget"}
