"""`mfdsl solvers`, `mfdsl specs`, `mfdsl doctor`, `mfdsl --version`."""

from pathlib import Path
from typing import Any

import mfdsl as package
from mfdsl.cli import app
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.shipped import shipped_specs


def test_every_solver_is_listed_with_options_needs_and_paper(mfdsl: Any) -> None:
    outcome = mfdsl("solvers")
    assert outcome.code == 0
    for row in SOLVERS.values():
        assert f"{row.name}: {row.summary}" in outcome.out
        assert row.reference in outcome.out
        for option in row.config.model_fields:
            assert f"--opt {option}=" in outcome.out
    assert {row["name"] for row in mfdsl("solvers", "--json").json["solvers"]} == set(SOLVERS)


def test_every_shipped_game_is_listed_with_its_size_and_sentence(mfdsl: Any) -> None:
    entries = {entry["name"]: entry for entry in mfdsl("specs", "--json").json["specs"]}
    assert set(entries) == set(shipped_specs())
    assert entries["sis"]["states"] == 2
    assert entries["sis"]["actions"] == 2
    assert entries["sis"]["doc"].startswith("Epidemic")
    listed = mfdsl("specs").out
    assert all(name in listed for name in entries)


def test_doctor_names_versions_and_devices(mfdsl: Any) -> None:
    found = mfdsl("doctor", "--json").json
    assert found["mfdsl"] == package.__version__
    assert "cpu" in found["torch"]["devices"]
    assert found["packages"]["torch"] in mfdsl("doctor").out


def test_the_version_is_printed(mfdsl: Any) -> None:
    assert mfdsl("--version").out == f"mfdsl {package.__version__}\n"


def test_every_verb_can_answer_in_one_json_object(mfdsl: Any, spec: Path) -> None:
    verbs = {command.callback.__name__ for command in app.registered_commands if command.callback}
    arguments: dict[str, tuple[str, ...]] = {
        "solve": (str(spec), "--iterations", "1"),
        "explain": ("MFG301",),
        "new": ("mine",),
        **{verb: () for verb in ("solvers", "specs", "doctor")},
    }
    for verb in sorted(verbs):
        outcome = mfdsl(verb, *arguments.get(verb, (str(spec),)), "--json")
        assert outcome.code == 0, verb
        assert outcome.json["schema"] == 1
