"""The certificates of every shipped spec beside a golden file: claims, verdicts, proved bounds.

`pytest tests/test_certificate_tables.py --update-golden` writes it; read it before committing.
Verdicts that a faster or slower machine may change (where a search ran out of time) are left out.
"""

from pathlib import Path

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, lipschitz
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.analysis.subjects import interactions

ROOT = Path(__file__).resolve().parent
GOLDEN = ROOT / "golden" / "certificates"
SPECS = sorted(p.stem for p in (ROOT.parent / "specs").glob("*.mfg"))
# A single pass over their kernels takes longer than the searches of all others together.
HEAVY = {
    "conservative_treasure_hunting",
    "double_well",
    "endogenous",
    "flocking",
    "foraging",
    "m3fc_foraging",
    "m3fc_potential",
    "mf_garnet",
    "navigation",
    "push",
    "random_linear",
    "sioux_falls",
    "dynamic_routing",
    "taxi",
}
DIGITS = 2


def line(certificate: Certificate, subject: str) -> str:
    """A row: claim, subject, verdict, and a proved bound to two digits."""
    bound = ""
    if certificate.verdict == "proved" and certificate.upper is not None:
        bound = f"  <= {certificate.upper * (1 - 1e-9):.{DIGITS}g}"
    return f"{certificate.claim}  {subject}  {certificate.verdict}{bound}"


def table(name: str) -> str:
    """All rows of a spec. Slopes and structure of heavy specs are left to their own tests."""
    game = mfdsl.load(name)
    rows = [line(c, c.subject) for c in game.compilation.certificates]
    if name in HEAVY:
        return "\n".join(rows) + "\n"
    rows += [
        line(c, c.subject)
        for c in structure_certificates(game.model, 60.0)
        if c.verdict != "unknown" and c.claim not in ("existence", "contraction")
    ]
    facts = facts_of(game.model)
    for player, subject, source in interactions(game.model, facts):
        budget = Budget(boxes=400, seconds=60.0)
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


def test_there_is_a_table_for_each_spec() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.txt")) == SPECS
