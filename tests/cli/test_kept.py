"""Folders of verbs that do not solve: what was found, of which game, and how it was asked."""

import json
from pathlib import Path
from typing import Any

import pytest

import mfdsl as package

ASKED: dict[str, tuple[str | int, ...]] = {
    "anarchy": ("pigou", "--iterations", 20, "--starts", 1),
    "correlate": ("nfg_coop", "--iterations", 3),
    "simplex": ("m3fg_sis", "--points", 2, "--iterations", 1, "--set", "T=3"),
}


@pytest.mark.parametrize("verb", ASKED)
def test_a_file_says_what_was_found(mfdsl: Any, tmp_path: Path, verb: str) -> None:
    spec, *flags = ASKED[verb]
    outcome = mfdsl(verb, spec, *flags, "--out", tmp_path / "new" / "folder", "--json")
    assert outcome.code == 0, outcome.err
    folder = Path(outcome.json["written"])
    assert folder.parent == tmp_path / "new" / "folder"
    assert folder.name.startswith(f"{spec}-{verb}-")
    kept = json.loads((folder / "found.json").read_text())
    assert kept["verb"] == verb and kept["version"] == package.__version__
    assert kept["parameters"] == ({"T": 3} if verb == "simplex" else {})
    again = package.load(folder / "spec.mfg", params=kept["parameters"])
    assert kept["key"] == again.key
    assert kept["options"]["iterations"] == flags[flags.index("--iterations") + 1]
    shared = set(outcome.json) - {"schema", "written", "file"}
    assert {name: kept[name] for name in shared} == {n: outcome.json[n] for n in shared}


def test_nothing_that_was_found_is_written_over(mfdsl: Any, tmp_path: Path) -> None:
    spec, *flags = ASKED["anarchy"]
    folders = {mfdsl("anarchy", spec, *flags, "-o", "out", "--json").json["written"] for _ in "ab"}
    assert len(folders) == 2
    refused = mfdsl("simulate", spec, "--policy", folders.pop())
    assert refused.code == 2 and "is not a run folder" in refused.err


def test_a_folder_that_cannot_be_written_is_named(mfdsl: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spec, *flags = ASKED["anarchy"]
    outcome = mfdsl("anarchy", spec, *flags, "--out", tmp_path / "file")
    assert outcome.code == 2 and "cannot write" in outcome.err and "Traceback" not in outcome.err
