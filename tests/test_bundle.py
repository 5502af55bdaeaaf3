"""A bundle holds every file that a spec reads, and is the same game in any other folder."""

from pathlib import Path

import pytest

import mfdsl
from mfdsl.artifact import artifact_key
from mfdsl.bundle import MAIN, bundle_of
from mfdsl.records import start_run
from mfdsl.settings import resolve
from mfdsl.solving import prepare

SPECS = Path(__file__).resolve().parent.parent / "specs"
# What each reads: imports, arrays, links of a graph, traits, weights.
READING = {
    "predator_prey": {"smooth.mfg"},
    "garnet": {"garnet.json"},
    "sioux_falls": {"sioux_falls.csv", "sioux_falls_demand.csv"},
    "a_sis_players": {"asymmetric_players.csv"},
    "weighted_rps": {"ring_weights.csv"},
}

NETWORK = """model over

param c : real[2] in [0, 9] from "far/links.csv"

graph city { file "near/links.csv" }

objective nash
horizon 2

population driver {
  state  e : city.link = city[O, A]
  action a : city.link where tail(a) == head(e) or a == e
  e' = a
  cost delay = c[1] * e.free
}
"""


def written(bundle: dict[str, bytes], folder: Path) -> Path:
    """The files of a bundle in a folder; the path of its main file."""
    for name, content in bundle.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / MAIN


def test_these_are_the_specs_that_read_files() -> None:
    texts = {p.stem: p.read_text(encoding="utf-8") for p in SPECS.glob("*.mfg")}
    marks = ('from "', 'file "')
    found = {name for name, text in texts.items() if any(mark in text for mark in marks)}
    assert found - {"mf_garnet", "random_linear"} == set(READING)


@pytest.mark.parametrize("name", READING)
def test_a_bundle_is_the_same_game_elsewhere(name: str, tmp_path: Path) -> None:
    game = mfdsl.load(name)
    bundle = bundle_of(game.compilation)
    assert {Path(n).name for n in bundle} == {MAIN, *READING[name]}
    kept = mfdsl.load(written(bundle, tmp_path / "elsewhere"))
    assert artifact_key(kept.compilation) == artifact_key(game.compilation)
    nowhere = {"places"}
    assert kept.model.model_dump(exclude=nowhere) == game.model.model_dump(exclude=nowhere)


def test_two_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    (tmp_path / "far" / "links.csv").write_text("2.5,4\n", encoding="utf-8")
    (tmp_path / "near" / "links.csv").write_text("from,to,free\nO,A,1\nA,O,3\n", encoding="utf-8")
    (tmp_path / "over.mfg").write_text(NETWORK, encoding="utf-8")
    game = mfdsl.load(tmp_path / "over.mfg")
    bundle = bundle_of(game.compilation)
    assert sorted(bundle) == ["files/links-2.csv", "files/links.csv", MAIN]
    kept = mfdsl.load(written(bundle, tmp_path / "kept"))
    nowhere = {"places"}
    assert kept.model.model_dump(exclude=nowhere) == game.model.model_dump(exclude=nowhere)
    assert artifact_key(kept.compilation) == artifact_key(game.compilation)


def test_a_run_folder_opens_where_the_spec_is_not(tmp_path: Path) -> None:
    game = mfdsl.load("sioux_falls", params={"T": 2})
    job = prepare(game, resolve(game.model, iterations=1), sweep={})
    folder = start_run(job, tmp_path / "runs").path
    moved = folder.rename(tmp_path / "moved")
    assert {p.name for p in (moved / "files").iterdir()} == READING["sioux_falls"]
    kept = mfdsl.load(moved / "spec.mfg", params={"T": 2})
    assert artifact_key(kept.compilation) == artifact_key(game.compilation)
