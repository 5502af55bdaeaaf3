"""Solvers, parameters, claims and functions that pages name are those of the tables of the code."""

import ast
import re
from functools import cache

import pytest

import mfdsl
from mfdsl.compiler.sema.claim import NAMES
from mfdsl.settings import METHODS
from tests.docs.pages import PAGES, ROOT, text_of

SOLVER = re.compile(r"--solver[ =]([a-z]\w*)|(?<![-\w])method ?= ?([a-z]\w*)")
SETTING = re.compile(r"--(?:set|sweep|fit)[ =]([a-z]\w*(?:,[a-z]\w*)*)(?=[ =`]|$)", re.MULTILINE)
CLAIM = re.compile(r"\brequire ([a-z_]+)\(")
DOTTED = re.compile(r"(?<![\w.])mfdsl((?:\.[A-Za-z]\w*)+)(?=[`(])")
LOG = re.compile(r'getLogger\("mfdsl\.(\w+)"\)')

pytestmark = pytest.mark.skipif(
    not (ROOT / "bench" / "specs").is_dir(), reason="games of the pages are elsewhere"
)


@cache
def parameters() -> frozenset[str]:
    """Names of parameters of all games that come along."""
    games = [p for part in ("specs", "bench") for p in (ROOT / part).rglob("*.mfg")]
    texts = [path.read_text(encoding="utf-8") for path in games]
    return frozenset(n for text in texts for n in re.findall(r"^\s*param\s+(\w+)", text, re.M))


def top_names(path: str) -> set[str]:
    """What a module of the project defines or imports at its top, and its submodules."""
    base = ROOT / path.removeprefix("mfdsl/")
    base = base if base.with_suffix(".py").is_file() or base.is_dir() else ROOT / path
    file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    found = {p.stem for p in base.glob("*")} if base.is_dir() else set()
    for node in ast.parse(file.read_text("utf-8")).body if file.is_file() else ():
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@cache
def outside() -> frozenset[str]:
    """Modules of `mfdsl/`, which need not be loaded yet, and what the runtime logs to."""
    logs = LOG.findall((ROOT / "runtime" / "kept_loops.py").read_text(encoding="utf-8"))
    return frozenset(logs) | {path.stem for path in (ROOT / "mfdsl").glob("*")}


def faults(text: str) -> list[str]:
    """What a text names that is not there."""
    solvers = {a or b for a, b in SOLVER.findall(text)}
    settings = {name for listed in SETTING.findall(text) for name in listed.split(",")}
    found = [f"solver {name}" for name in solvers - {*METHODS, "auto"}]
    found += [f"parameter {name}" for name in settings - parameters() - {"opt"}]
    found += [f"claim {name}" for name in {*CLAIM.findall(text)} - NAMES]
    for dotted in {*DOTTED.findall(text)}:
        *path, name = dotted[1:].split(".")
        there = top_names("/".join(["mfdsl", *path])) if path else {*dir(mfdsl), *outside()}
        if name not in there:
            found.append(f"mfdsl{dotted}")
    return sorted(found)


@pytest.mark.parametrize("page", PAGES)
def test_terms_of_a_page_are_of_the_code(page: str) -> None:
    assert faults(text_of(page)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("`--solver omdd`", "solver omdd"),
        ("`solver { method = fp }`", "solver fp"),
        ("`--set infektion=1`", "parameter infektion"),
        ("`--fit recovery,infektion`", "parameter infektion"),
        ("`require monotonee(reward, mu)`", "claim monotonee"),
        ("`mfdsl.sollve(game)`", "mfdsl.sollve"),
        ("`mfdsl.anarchy.anarchyy`", "mfdsl.anarchy.anarchyy"),
        ("`mfdsl.runtime.learning.gaps.exact_gapp(`", "mfdsl.runtime.learning.gaps.exact_gapp"),
    ],
)
def test_a_wrong_term_is_seen(text: str, fault: str) -> None:
    assert faults(text) == [fault]
