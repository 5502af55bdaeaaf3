"""The certificates of every shipped spec beside a golden file: claims, verdicts, proved bounds.

`pytest tests/test_certificate_tables.py --update-golden` writes it; read it before committing.
Budgets count steps, so that the tables are the same on every machine. Structure that is unknown is
left out, and so are flows that refute `monotone_on_flows`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, lipschitz
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.analysis.subjects import interactions
from mfdsl.findings import findings

ROOT = Path(__file__).resolve().parent
GOLDEN = ROOT / "golden" / "certificates"
SPECS = sorted(p.stem for p in (ROOT.parent / "specs").glob("*.mfg"))
# Boxes of a search; its seconds, which are counted, are out of reach.
SLOPES = Budget(boxes=10, seconds=60.0)
# One pass over these expressions is long, so the bound is that of the whole domain, and witnesses
# are looked for during these counted seconds at most: they make no difference to a proved row.
LONG = {
    "double_well": 60.0,
    "endogenous": 60.0,
    "foraging": 1.0,
    "m3fc_foraging": 1.5,  # its jump is found within one
    "m3fc_potential": 60.0,
    "mf_garnet": 2.0,
    "taxi": 0.5,  # eight times as much is left for that pass
}
# No slope of these is bounded, however long witnesses of a jump are looked for: positions have no
# bounds, or divisors reach 0.
UNBOUNDED = {
    name: 0.1 for name in ("flocking", "mfax_endogenous", "navigation", "push", "random_linear")
}
STRUCTURE_SECONDS = 1.0
ALWAYS = {"independent", "monotone", "potential", "existence", "contraction"}
# Some of these are decided here, but not at once.
SEARCHED = {"incomplete_markets": 4.0, "endogenous": 20.0, "lq_ring": 12.0, "mf_garnet": 20.0}
DIGITS = 2


def line(certificate: Certificate, subject: str) -> str:
    """A row: claim, subject, verdict, and a proved bound to two digits."""
    bound = ""
    if certificate.verdict == "proved" and certificate.upper is not None:
        bound = f"  <= {certificate.upper * (1 - 1e-9):.{DIGITS}g}"
    return f"{certificate.claim}  {subject}  {certificate.verdict}{bound}"


def slopes(name: str) -> Budget:
    """How long the slopes of a spec are looked at."""
    seconds = (LONG | UNBOUNDED).get(name)
    return SLOPES if seconds is None else replace(SLOPES, boxes=1, seconds=seconds)


def agree(structure: Sequence[Certificate]) -> None:
    """Every game has its certificates of structure, none contradicts another, and what is unknown
    has its reason.
    """
    findings(structure)
    assert {c.claim for c in structure} >= ALWAYS
    for certificate in structure:
        if certificate.verdict == "unknown":
            assert certificate.reason is not None and certificate.detail


def table(name: str) -> str:
    """All rows of a spec: what it claims itself, its structure, its slopes in every law."""
    game = mfdsl.load(name)
    structure = structure_certificates(game.model, SEARCHED.get(name, STRUCTURE_SECONDS))
    agree(structure)
    rows = [line(c, c.subject) for c in game.compilation.certificates]
    rows += [
        line(c, c.subject)
        for c in structure
        if c.verdict != "unknown" and (c.claim, c.verdict) != ("monotone_on_flows", "refuted")
    ]
    facts, budget = facts_of(game.model), slopes(name)
    for player, subject, source in interactions(game.model, facts):
        found = lipschitz(Question(facts, subject, source, budget, game.model.places))
        rows.append(line(found, player.name))
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("name", SPECS)
def test_the_table_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    found, path = table(name), GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_no_budget_leaves_claims_unknown() -> None:
    model = mfdsl.load(SPECS[0]).model
    assert {c.reason for c in structure_certificates(model, 0.0)} == {"budget"}


def test_there_is_a_table_for_each_spec() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.txt")) == SPECS
