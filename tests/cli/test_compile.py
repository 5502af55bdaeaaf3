"""`mfdsl compile` and `mfdsl new`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mfdsl as package
from mfdsl.templates import TEMPLATES


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_compiling_twice_gives_equal_bytes_wherever_the_spec_lies(mfdsl: Any, spec: Path) -> None:
    first = mfdsl("compile", spec, "-o", "one", "--json").json
    Path("elsewhere").mkdir()
    moved = Path("elsewhere", spec.name)
    moved.write_bytes(spec.read_bytes())
    second = mfdsl("compile", moved.resolve(), "-o", "two", "--json").json
    assert first["key"] == second["key"]
    one, two = Path(first["artifact"]), Path(second["artifact"])
    assert one.name == two.name == f"rooms-{first['key'][:8]}"
    assert contents(one) == contents(two)
    assert set(first["files"]) == set(contents(one))


def test_equal_specs_compile_to_equal_bytes_in_another_process(spec: Path, tmp_path: Path) -> None:
    code = "import sys, mfdsl; print(mfdsl.compile('rooms.mfg', out=sys.argv[1]).path)"
    folders = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code, f"out{seed}"],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        folders.append(tmp_path / done.stdout.strip())
    assert contents(folders[0]) == contents(folders[1])


def test_the_folder_holds_model_module_reports_and_spec(mfdsl: Any, spec: Path) -> None:
    found = mfdsl("compile", spec, "--json").json
    folder = Path(found["artifact"])
    assert folder.parent == Path("build")
    assert set(found["files"]) == {
        "model.json",
        "agents.py",
        "report.json",
        "report.md",
        "simulator.py",
        "spec.mfg",
    }
    report = json.loads((folder / "report.json").read_text())
    assert report["ok"] and report["key"] == found["key"]
    for content in contents(folder).values():
        assert str(Path.cwd()).encode() not in content
    os.chdir(folder)
    assert package.load("spec.mfg").emit("json") == Path("model.json").read_text()


def test_layout_and_comments_do_not_change_the_code_key(mfdsl: Any, spec: Path) -> None:
    def keys() -> tuple[str, str]:
        folder = Path(mfdsl("compile", spec, "--json").json["artifact"])
        report = json.loads((folder / "report.json").read_text())
        return report["key"], report["code_key"]

    first = keys()
    text = spec.read_text()
    spec.write_text(text.replace("  x' = clip(x + a)", "  x'   =   clip(x+a)"))
    assert keys() == first
    spec.write_text(text.replace("## number of rooms", "## how many rooms"))
    assert keys()[0] != first[0]
    assert keys()[1] == first[1]
    spec.write_text(text.replace("clip(x + a)", "clip(x - a)"))
    assert keys()[1] != first[1]


def test_a_set_parameter_changes_the_key(mfdsl: Any, spec: Path) -> None:
    plain = mfdsl("compile", spec, "--json").json["key"]
    assert mfdsl("compile", spec, "--json", "--set", "n=4").json["key"] != plain
    assert mfdsl("compile", spec, "--json", "--set", "c_crowd=2").json["key"] != plain


def test_the_simulator_runs_without_mfdsl(mfdsl: Any, spec: Path) -> None:
    folder = Path(mfdsl("compile", spec, "--json").json["artifact"])
    code = (
        "import sys, simulator as s; p = s.default_params(); "
        "x = s.init(p, s.draw_initial(2, 5)); print(x.x.shape); "
        "assert not [m for m in sys.modules if m.startswith('mfdsl')]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[2, 5]" in done.stdout


def test_a_wrong_spec_leaves_no_folder(mfdsl: Any, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("horizon 4\n", ""))
    assert mfdsl("compile", spec).code == 1
    assert not Path("build").exists()


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_formatted_checks_without_a_warning_and_solves(
    mfdsl: Any, template: str
) -> None:
    assert mfdsl("new", "mine", "--template", template).code == 0
    checked = mfdsl("check", "mine.mfg", "--json").json
    assert checked["ok"] and checked["diagnostics"] == []
    assert checked["model"]["name"] == "mine"
    assert mfdsl("fmt", "mine.mfg", "--check").code == 0
    solved = mfdsl("solve", "mine.mfg", "--json").json
    assert solved["exploitability"]["value"] < solved["history"][0]["exploitability"] / 10


def test_a_shipped_game_is_a_template_unless_it_reads_files(mfdsl: Any) -> None:
    assert mfdsl("new", "mine", "-t", "social_distancing").code == 0
    own, shipped = (
        mfdsl("check", "mine.mfg", "--json"),
        mfdsl("check", "social_distancing", "--json"),
    )
    assert own.json["model"] == shipped.json["model"] | {"name": "mine"}
    refused = mfdsl("new", "other", "-t", "garnet", "-o", "folder")
    assert refused.code == 2 and "data/garnet.json" in refused.err
    assert not Path("folder").exists()


def test_new_never_writes_over_a_file(mfdsl: Any) -> None:
    Path("mine.mfg").write_text("precious")
    outcome = mfdsl("new", "mine")
    assert outcome.code == 2
    assert Path("mine.mfg").read_text() == "precious"


@pytest.mark.parametrize("name", ["a/b", "1st", "two words", ""])
def test_new_refuses_what_cannot_name_a_game(mfdsl: Any, name: str) -> None:
    outcome = mfdsl("new", name)
    assert outcome.code == 2
    assert "cannot name a game" in outcome.err
