"""What the pages about the language and its certificates show compiles, and says what they say."""

import re
from pathlib import Path

import pytest

from mfdsl.cli import run
from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.driver import Compilation, compile_file, compile_text
from mfdsl.compiler.sema.builtins import BUILTINS
from mfdsl.compiler.sema.comprehensions import OVER_SETS
from mfdsl.compiler.sema.distributions import NAMED
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.parse import parse

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
CERTIFICATES = (ROOT / "docs" / "certificates.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\n(.*?)```", LANGUAGE, re.DOTALL)

HEAD = """model page
objective nash
horizon 3
enum Health { S, I }
enum Choice { out, home }
enum Kind { short, long }
enum Flow { cars, vans }
"""
CROWD = """
  state  x : int in 0..3 ~ uniform
  action a : int in 0..1
  x' = clip(x + a)
"""

LINE = """
  state  x : real ~ normal(0, std = 1)
  action a : real
  x' = x + a
  cost far = (x - mean(q.x for q in walker))^2
  cost move = a^2
"""


def section(page: str, title: str) -> str:
    return re.split(r"^#+ ", page.split(f"## {title}\n")[1], flags=re.M)[0]


def quoted(text: str) -> list[str]:
    return [code.replace("\\|", "|") for code in re.findall(r"`([^`\n]+)`", text)]


WORDS = (
    "param let fn enum grid graph import objective horizon discount assume require solver".split()
)
MAP = '"""\n    #A\n  """'


def faults(compilation: Compilation) -> list[str]:
    return [f"{d.code}: {d.message}" for d in compilation.diagnostics if d.severity == "error"]


def test_the_population_compiles() -> None:
    (block,) = [b for b in BLOCKS if "person as mu" in b]
    assert faults(compile_text(HEAD + block)) == []


def test_players_one_by_one_compile(tmp_path: Path) -> None:
    (block,) = [b for b in BLOCKS if "players.csv" in b]
    (tmp_path / "players.csv").write_text("beta,kind\n0.5,short\n0.7,long\n")
    (tmp_path / "w.csv").write_text("0,1\n1,0\n")
    spec = tmp_path / "page.mfg"
    spec.write_text(HEAD + block.replace("  ...\n", CROWD + "  cost own = beta * ind(a == 1)\n"))
    assert faults(compile_file(str(spec))) == []


def test_other_players_compile() -> None:
    (block,) = [b for b in BLOCKS if "environment market" in b]
    reward = "  cost c = mean(q.x for q in flow[cars]) * market.z + truck[0].y[0] + truck[1].y[1]\n"
    assert faults(compile_text(HEAD + block.replace(" ... ", CROWD + reward))) == []


@pytest.mark.parametrize("code", [
    code
    for row in section(LANGUAGE, "A file").splitlines()
    if row.startswith("| `")
    for code in quoted(row.split(" | ")[0])
    if "..." not in code.replace('"""..."""', "")
])  # fmt: skip
def test_declarations_of_the_table_read(code: str) -> None:
    bare = code if code.split()[0] in WORDS else f"require {code}"
    sink = Sink()
    parse(SourceFile("page.mfg", f"model page\n{bare}\n".replace('"""..."""', MAP)), sink)
    assert [d.message for d in sink.diagnostics] == []


WORDS = (
    "param let fn enum grid graph import objective horizon discount assume require solver".split()
)
MAP = '"""\n    #A\n  """'


def test_every_function_and_law_of_the_language_is_on_the_page() -> None:
    told = set(re.findall(r"\w+", " ".join(quoted(LANGUAGE))))
    assert {*BUILTINS, *OVER_SETS, *NAMED} - told == set()


def test_every_function_in_the_row_of_functions_is_one() -> None:
    (row,) = [r for r in section(LANGUAGE, "Values").splitlines() if r.startswith("| functions")]
    names, pi = quoted(row)
    assert pi == "pi" and set(names.split()) <= set(BUILTINS)


def test_claims_of_the_table_are_read() -> None:
    table = section(CERTIFICATES, "Structure").splitlines()
    rows = [row.split(" | ")[0] for row in table if row.startswith("| `")]
    claims = [claim.replace("player", "walker") for row in rows for claim in quoted(row)]
    requires = "".join(f"  require {claim}\n" for claim in claims)
    spec = HEAD + f"population walker as mu {{{LINE}{requires}}}\n"
    decided = {"MFG505", "MFG506", "MFG507", "MFG508", "MFG509", "MFG512", "MFG513"}
    assert len(claims) >= 9
    assert {d.code for d in compile_text(spec).diagnostics if d.severity == "error"} <= decided


def test_the_check_of_the_page_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"\$ mfdsl check beach_bar\n(.*?)```", CERTIFICATES, re.DOTALL)
    assert run(["check", "beach_bar"]) == 0
    assert capsys.readouterr().out == block
