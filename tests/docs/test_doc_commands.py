"""Every command of the pages is one: its verb, flags, games, parameters, options and files.

Verbs and flags are those of the real parser, options are validated by the solver that the command
would run, parameters by compiling the game at their values. Nothing is solved.
"""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from mfdsl.cli import application
from mfdsl.cli.verbs import VERBS
from mfdsl.compiler.codes import CODES
from mfdsl.compiler.driver import Options, compile_file
from mfdsl.compiler.ir.model import Model
from mfdsl.errors import UsageError
from mfdsl.experiments import PAPERS
from mfdsl.parameters import check_sweep, read_settings, read_sweeps
from mfdsl.settings import GRID_KEYS, METHODS, resolve
from mfdsl.shipped import find_spec, shipped_specs
from tests.docs.pages import PAGES, ROOT, Command, commands, inline, text_of

PLACEHOLDER = re.compile(r"[A-Z][A-Z_|.]*")
RUN = re.compile(r"(?:\w+/)([a-z]\w*)-(?:XXXX|JOB|\*|[0-9a-f]{4})(?:/\*|/\S+\.mfg)?")
OF_PIP = ("--extra-index-url", "-c constraints.txt")
CODE = re.compile(r"\bMFG\d+\b")


pytestmark = pytest.mark.skipif(
    not (ROOT / "bench" / "specs").is_dir(), reason="games of the pages are elsewhere"
)


@cache
def program() -> Any:
    return typer.main.get_command(application(VERBS))


@cache
def flags_of(verb: str) -> frozenset[str]:
    command = program().commands[verb]
    named = [flag for p in command.params for flag in (*p.opts, *p.secondary_opts)]
    return frozenset({*named, "--help", "-h"})


@cache
def own_games() -> frozenset[str]:
    """The games of `specs/` and of the benchmarks, by name."""
    found = {*shipped_specs(), *copies()}
    return frozenset(found) | {path.stem for path in (ROOT / "bench").rglob("*.mfg")}


@cache
def model_of(path: Path, values: tuple[tuple[str, Any], ...]) -> Model:
    return compile_file(path, Options(dict(values))).require_model()


@cache
def copies() -> dict[str, str]:
    """Games that readers copy, by the names that they give to them."""
    told = [command.words for page in PAGES for command in commands(page)]
    copied = [words for words in told if words[:2] == ("mfdsl", "new") and "-t" in words[:-1]]
    return {words[2]: words[4] for words in copied if words[4] in shipped_specs()}


def game_of(spec: str) -> Path | None:
    """The file of a game; None for a placeholder or a run, whose game must be there."""
    run = RUN.fullmatch(spec)
    if run:
        assert run[1] in own_games(), f"no game for the run {spec}"
    spec = copies().get(spec.removesuffix(".mfg"), spec)
    if run or PLACEHOLDER.fullmatch(spec):
        return None
    path = ROOT / spec if spec.endswith(".mfg") else find_spec(spec)
    assert path.is_file(), f"no file {spec}"
    return path


def check_runs(words: tuple[str, ...]) -> None:
    for word in words:
        run = RUN.fullmatch(word.rpartition("=")[2])
        assert run is None or run[1] in own_games(), f"no game for the run {word}"


def check_solve(path: Path, given: dict[str, Any]) -> None:
    """Parameters, sweeps, solver and options of a solve, as the verb reads them."""
    sweeps = read_sweeps(given.get("sweep") or (), given["set_"])
    model = model_of(path, tuple(read_settings(given["set_"]).items()))
    check_sweep(model, {k: v for k, v in sweeps.items() if not k.startswith("opt.")})
    options = read_settings(given.get("opt") or (), "--opt", texts=True)
    swept = {k[4:]: v[0] for k, v in sweeps.items() if k.startswith("opt.")}
    fitted = ",".join(given.get(flag) or "" for flag in ("fit", "choose")).split(",")
    assert {*fitted} - {""} <= {p.name for p in model.parameters}, f"no parameters {fitted}"
    if "solver" in given:
        resolve(model, given["solver"], options={**options, **swept})


def check_whole(words: tuple[str, ...]) -> None:
    """A command that is shown whole goes through the parser, and its game is compiled."""
    check_runs(words)
    given = program().commands[words[0]].make_context(words[0], list(words[1:])).params
    if words[0] == "reproduce" and given["paper"]:
        known = {row.name for row in PAPERS[given["paper"]]}
        assert {*(given["only"] or ())} <= known
    specs = given.get("specs") or [given.get("spec") or given.get("target") or "SPEC"]
    for path in filter(None, map(game_of, specs)):
        if "set_" in given:
            check_solve(path, given)


def check_told(words: tuple[str, ...]) -> None:
    """A command in prose has a verb and flags; games with small letters are there."""
    check_runs(words)
    if not words:
        return
    assert words[0] in VERBS, f"no verb {words[0]}"
    named = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
    assert named <= flags_of(words[0]), f"no flags {named - flags_of(words[0])} of {words[0]}"
    if words[0] in ("solve", "check", "simulate", "validate") and words[1:]:
        word = words[1]
        if re.fullmatch(r"[a-z]\w*", word):
            game_of(word)


def script(command: Command) -> str | None:
    """The text of the script that a command runs; None where it is no script of here."""
    if command.module is None or command.module.startswith("mfdsl"):
        return None
    paths = [ROOT / f"{command.module}.py", ROOT / command.module / "__main__.py"]
    found = [path for path in paths if path.is_file()]
    assert found, f"no script {command.module}"
    own = found[0].read_text(encoding="utf-8")
    near = set(re.findall(r"^(?:from|import) (?:bench\.)*(\w+)", own, re.MULTILINE))
    if found[0].name == "__main__.py":
        near = {path.stem for path in found[0].parent.glob("*.py")}
    beside = [found[0].parent / f"{name}.py" for name in sorted(near)]
    return own + "".join(path.read_text(encoding="utf-8") for path in beside if path.is_file())


def is_read(flag: str, text: str) -> bool:
    """Whether the text of a script has a flag, or makes it of a name as `--{name}-python`."""
    name = flag[2:].removesuffix("-python")
    return f'"{flag}"' in text or ('f"--{' in text and f'"{name}"' in text)


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_are_ones(page: str) -> None:
    for command in commands(page):
        if command.verb is not None:
            (check_whole if command.whole else check_told)(command.verb)
        elif (text := script(command)) is not None:
            for word in command.words:
                assert not word.startswith("--") or is_read(word, text), command


def test_a_wrong_command_would_be_seen() -> None:
    for line, message in (
        ("solve sis --optt a=1", "--optt"),
        ("solve siss", "siss"),
        ("solve sis --set infektion=0.5", "infektion"),
        ("solve sis --set infection=5", "infection"),
        ("solve sis --sweep infektion=0.1,0.2", "infektion"),
        ("solve sis --solver omd --opt rate=1", "rate"),
        ("solve sis --solver omd --sweep opt.rate=1,2", "rate"),
        ("solve sis --solver omdd", "omdd"),
        ("solve sis --start runs/siss-XXXX", "siss"),
        ("calibrate sis seen.csv --fit infektion", "infektion"),
        ("reproduce mf_ppo --only lq", "lq"),
        ("validate bench/specs/none.mfg", "none.mfg"),
    ):
        with pytest.raises(Exception, match=message):
            check_whole(tuple(line.split()))
    for line, message in (
        ("solv sis", "no verb solv"),
        ("solve --stat RUN", "--stat"),
        ("solve siss", "siss"),
    ):
        with pytest.raises((AssertionError, UsageError), match=message):
            check_told(tuple(line.split()))


@pytest.mark.parametrize("page", PAGES)
def test_flags_in_prose_are_of_a_verb_or_of_a_script_of_the_page(page: str) -> None:
    scripts = "".join(filter(None, map(script, commands(page))))
    known = {flag for verb in VERBS for flag in flags_of(verb)}
    for code in inline(page):
        if not re.match(r"--?[a-z]", code) or "(" in code or code in OF_PIP:
            continue
        words = code.split()
        for word in words:
            if re.match(r"--?[a-z]", word):
                assert word in known or is_read(word, scripts), f"no flag {word}"
        for flag, value in pairwise(words):
            if flag == "--opt":
                check_option(value)


def check_option(value: str) -> None:
    """An option of some solver, or a grid."""
    key = value.partition("=")[0]
    names = {name for row in METHODS.values() for name in row.config.model_fields}
    assert key == "key" or key.partition(".")[0] in names | {*GRID_KEYS}, f"no option {key}"


def test_codes_that_are_named_are_ones() -> None:
    named = {code for page in PAGES for code in CODE.findall(text_of(page))}
    assert named and named <= set(CODES)
