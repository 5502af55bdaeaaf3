"""What a source archive holds, and what `mfdsl doctor` counts as needed."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

from mfdsl.doctor import CORE

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("compiler", "docs", "mfdsl", "runtime", "specs", "tests")


def test_doctor_asks_for_every_dependency_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert list(CORE) == [re.split(r"[<>=~!]", line)[0] for line in project["dependencies"]]


def test_the_source_archive_holds_all_that_the_tests_and_pages_read(tmp_path: Path) -> None:
    """Without a manifest it holds `test_*.py` of one folder, and no helper of theirs."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "examples")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "constraints.txt"):
        shutil.copy(ROOT / file, tmp_path / file)
    build = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build, str(tmp_path / "dist")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    there = {
        str(path.relative_to(tmp_path))
        for folder in ("compiler", "docs", "runtime", "specs", "tests")
        for path in (tmp_path / folder).rglob("*")
        if path.is_file()
    }
    assert there - inside == set()
    assert {"LICENSE", "constraints.txt", "mfdsl/py.typed"} <= inside
