"""The static proof of symmetry: every shipped game passes, everything that names agents fails."""

import re
from pathlib import Path

import pytest

import mfdsl
from mfdsl.compiler.analysis.symmetry import provenance as rules
from mfdsl.compiler.analysis.symmetry.claims import (
    derivation,
    symmetry_certificate,
    types_of_files,
)
from mfdsl.compiler.analysis.symmetry.provenance import Label, labels, provenance
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import MEMBERS, REDUCTIONS

ROOT = Path(__file__).resolve().parents[3]
SPECS = sorted(path.stem for path in (ROOT / "specs").glob("*.mfg"))

PLAYERS = """model clinic

enum Health {{ S, I }}
enum Choice {{ out, home }}

objective nash
horizon 3

population person {{
  {trait}
  {weights}
  state  h : Health ~ uniform
  action a : Choice
  let exposure = mean({weight}ind(q.h == I) for q in person)
  h' ~ if a == home then S else mix {{ 0.5 * b * exposure -> I, else -> S }}
  reward ill = -ind(h == I) * exposure
  reward out = 0.1 * ind(a == out)
}}

population doctor {{
  state  k : Choice ~ uniform
  action u : Choice
  k' = u
  reward busy = -mean(ind(q.h == I) for q in person) * ind(u == out)
}}
"""


def players(folder: Path, rows: str | None, table: str | None) -> Model:
    """The clinic with what the files say of its people."""
    (folder / "players.csv").write_text("b\n" + (rows or ""))
    (folder / "w.csv").write_text(table or "")
    text = PLAYERS.format(
        trait='trait b : real in [0, 1] from "players.csv"'
        if rows
        else "trait b : real in [0, 1] ~ uniform",
        weights='weights w from "w.csv"' if table else "",
        weight="w[q] * " if table else "",
    )
    (folder / "clinic.mfg").write_text(text)
    return mfdsl.load(folder / "clinic.mfg").model


@pytest.mark.parametrize("name", SPECS)
def test_a_game_without_data_of_single_agents_is_symmetric_for_every_number(name: str) -> None:
    model = mfdsl.load(name).model
    for population in model.populations:
        found = symmetry_certificate(model, population.name)
        assert found.obligations[0].verdict == "proved"
        if not population.fixed:
            assert (found.verdict, found.rigor) == ("proved", "exact")
            assert "for every number of agents" in (found.detail or "")


def test_labels_say_what_each_expression_reads() -> None:
    model = mfdsl.load("lq_major").model
    found = {f"{r.player}.{r.name}": r.label for r in provenance(model, "follower").roots}
    assert found["follower.next x"] is Label.OWN
    assert found["leader.next y"] is Label.ANON
    assert "follower.next x: own variables, and statistics of members" in derivation(
        provenance(model, "follower")
    )
    known = labels(model, "follower")
    for node, label in zip(model.nodes, known, strict=True):
        if node.op in ("const", "param"):
            assert label is Label.GLOBAL
        if node.op == "common_state":
            assert label is Label.COMMON


def test_a_mean_without_oneself_is_about_oneself() -> None:
    text = """model pair
objective nash
horizon 2
population person {
  state  x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward near = mean(q.x for q in others(person))
  reward all = mean(q.x for q in person)
}
"""
    found = provenance(mfdsl.load(text=text).model, "person")
    known = {root.name: root.label for root in found.roots}
    assert known["reward near"] is Label.OWN
    assert known["reward all"] is Label.ANON


def test_the_table_of_operators_is_the_documented_one() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.split("| op | args |")[1].split("\n\n")[0]
    documented = {
        op for line in table.splitlines()[2:] for op in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    groups = (
        rules.OWN_LEAVES,
        rules.PEER_LEAVES,
        rules.COMMON_LEAVES,
        rules.GLOBAL_LEAVES,
        rules.POINTWISE,
        rules.ASYMMETRIC_OPS,
        frozenset(MEMBERS),
        frozenset(REDUCTIONS),
    )
    known = frozenset().union(*groups)
    assert documented <= known
    assert known - documented <= rules.ASYMMETRIC_OPS
    assert sum(len(group) for group in groups) == len(known)


def test_an_operator_that_nobody_knows_is_not_called_symmetric() -> None:
    model = mfdsl.load("sis").model
    (name,) = (p.name for p in model.populations)
    nodes = [
        n.model_copy(update={"op": "first_member"}) if n.op == "ind" else n for n in model.nodes
    ]
    found = symmetry_certificate(model.model_copy(update={"nodes": tuple(nodes)}), name)
    assert (found.verdict, found.reason) == ("unknown", "unsupported")
    assert "person.reward illness -> neg -> mul -> real -> first_member" in (found.detail or "")


def test_a_member_that_no_mean_binds_is_a_single_agent() -> None:
    model = mfdsl.load("sis").model
    (name,) = (p.name for p in model.populations)
    nodes = [n.model_copy(update={"op": "real"}) if n.op == "mean" else n for n in model.nodes]
    found = provenance(model.model_copy(update={"nodes": tuple(nodes)}), name)
    assert found.broken
    assert all(root.path == ("a member that no mean binds",) for root in found.broken)


def test_weights_between_agents_break_the_proof_with_their_path(tmp_path: Path) -> None:
    model = players(tmp_path, None, "0,1,0,1\n1,0,2,0\n0,1,0,1\n1,0,1,0\n")
    found = provenance(model, "person")
    shown = {root.name: root.shown for root in found.broken}
    assert shown["reward ill"].startswith("person.reward ill -> ")
    assert shown["reward ill"].endswith("-> mean -> mul -> weight w")
    assert "reward out" not in shown
    place = found.broken[0].place
    assert place is not None
    text = (tmp_path / "clinic.mfg").read_text()
    assert text[place.start : place.end] == "w[q]"
    assert not provenance(model, "doctor").broken  # whoever is ill, doctors are alike
    assert symmetry_certificate(model, "doctor").verdict == "proved"
    assert not provenance(model, "person", carried=True).broken


def test_equal_weights_are_symmetric_for_their_agents_only(tmp_path: Path) -> None:
    model = players(tmp_path, None, "0,1,1\n1,0,1\n1,1,0\n")
    found = symmetry_certificate(model, "person")
    assert found.verdict == "proved"
    assert found.subject == "person, the 3 agents of its files"
    assert "every number" not in (found.detail or "")


def test_a_ring_of_agents_is_not_called_symmetric(tmp_path: Path) -> None:
    rows = ["0,1,0,0,1", "1,0,1,0,0", "0,1,0,1,0", "0,0,1,0,1", "1,0,0,1,0"]
    found = symmetry_certificate(players(tmp_path, None, "\n".join(rows) + "\n"), "person")
    assert found.verdict == "unknown"
    assert "vertex-transitive but not exchangeable" in (found.detail or "")
    assert "person.reward ill" in (found.detail or "")


def test_people_of_a_file_have_the_types_of_their_rows(tmp_path: Path) -> None:
    model = players(tmp_path, "0.1\n0.2\n0.1\n0.1\n", None)
    found = symmetry_certificate(model, "person")
    assert found.verdict == "unknown"
    assert found.obligations[0].verdict == "proved"
    assert "2 exchangeable types (3, 1)" in (found.detail or "")
    assert "heterogeneous in b" in (found.detail or "")
    assert types_of_files(model, model.player("person")).classes == ((0, 2, 3), (1,))
    alike = symmetry_certificate(players(tmp_path, "0.1\n0.1\n", None), "person")
    assert alike.verdict == "proved"


def test_rows_and_weights_count_together(tmp_path: Path) -> None:
    model = players(tmp_path, "0.1\n0.2\n0.1\n", "0,1,1\n1,0,1\n1,1,0\n")
    assert types_of_files(model, model.player("person")).classes == ((0, 2), (1,))


def test_populations_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="no population 'nobody'"):
        symmetry_certificate(mfdsl.load("sis").model, "nobody")
    with pytest.raises(ValueError, match="no file gives"):
        model = mfdsl.load("sis").model
        types_of_files(model, model.population)
