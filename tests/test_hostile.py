"""Specs made to hurt: `mfdsl check` answers each with its own message, soon and in little memory.

What the parser alone refuses is in tests/syntax/test_robustness.py, and files that are no specs in
tests/test_bad_input.py and tests/cli/test_bad_input.py.
"""

import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.ready import Outcome, Ready

Check = Callable[[Path, str | bytes], Outcome]
PATIENCE = 30  # processor seconds before a command counts as hanging; none of these takes five
MOST_MEMORY = 1 << 20  # KiB
SPACE = 2 << 30  # bytes of addresses
MODEL = """model small
{top}
objective nash
horizon {horizon}

population people as mu {{
  state  x : int in {last} ~ uniform
  action a : int in 0..2
{body}
  x' = {step}
  cost crowd = {cost}
}}
"""
AGENTS = """model swarm
{top}
objective nash
horizon 3

population bird {{
  state  x : real in [0, 1] ~ uniform
  action v : real in [-1, 1]
{body}
  x' = clip(x + v)
  cost crowd = {cost}
}}
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks of memory")


def model(
    top: str = "",
    cost: str = "mu[x]",
    body: str = "",
    horizon: str = "2",
    last: str = "0..2",
    step: str = "a",
) -> str:
    return MODEL.format(top=top, cost=cost, body=body, horizon=horizon, last=last, step=step)


def agents(top: str = "", cost: str = "mean(abs(q.x - x) for q in bird)", body: str = "") -> str:
    return AGENTS.format(top=top, cost=cost, body=body)


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    """What starts `mfdsl check`."""
    found = Ready()
    yield found
    found.close()


@pytest.fixture
def checked(ready: Ready) -> Check:
    """`mfdsl check` on a spec in an empty folder, in a process of its own."""

    def check(folder: Path, spec: str | bytes) -> Outcome:
        (folder / "spec.mfg").write_bytes(spec if isinstance(spec, bytes) else spec.encode())
        found = ready.ran(["check", "spec.mfg"], folder, seconds=PATIENCE, space=SPACE)
        text = found.text
        assert "Traceback" not in text and "internal error" not in text, text[-2000:]
        return found

    return check


def refused(outcome: Outcome, code: str, words: str) -> None:
    """Exit code 1, the words, at most twenty short errors, and less than a GiB."""
    assert outcome.code == 1
    assert f"error[{code}]" in outcome.text
    assert words in outcome.text
    assert len(outcome.text) < 40_000
    assert not any(ord(c) < 32 and c != "\n" for c in outcome.text)
    assert outcome.peak < MOST_MEMORY


def lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)


def chain(count: int, rule: str) -> str:
    """Lets e0, e1, ..., each by a rule from the one before."""
    return lines(
        ["  let e0 = mu[x]", *(f"  let e{k + 1} = " + rule.format(k) for k in range(count))]
    )


def nested(function: str, depth: int, body: str, over: str) -> str:
    """`f(f(... for k1 in ...) for k0 in ...)`."""
    ends = "".join(f" for k{i} in {over})" for i in reversed(range(depth)))
    return f"{function}(" * depth + body + ends


FUNCTIONS = lines(
    ["fn f0(y) = y + 1", *(f"fn f{k + 1}(y) = f{k}(y) + f{k}(2 * y)" for k in range(25))]
)
LONG_FUNCTION = "fn f(y) = " + " + ".join(f"sin(y * {k})" for k in range(3000))
ANGLES = " + ".join(f"sin(k{i} * x)" for i in range(12))
PRODUCT = "k0 * k11 * x"  # what is counted is how often a body is written out
FAMILY = agents().replace("population bird {", "population bird[i in {}] {{")

REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "parentheses": (model(cost="(" * 20_000 + "mu[x]" + ")" * 20_000), "MFG702", "more than 64"),
    "declarations": (
        model(top=lines(f"param p{k} : real in [0, 1] = 0.5" for k in range(10_000))),
        "MFG703",
        "more than 2,000 declarations",
    ),
    "members": (
        model(body=lines(f"  let e{k} = mu[x] * {k}" for k in range(10_000))),
        "MFG703",
        "more than 2,000 members",
    ),
    "chain of lets": (
        model(body=chain(200, "e{0} * e{0} + 1"), cost="e200"),
        "MFG702",
        "more than 64 levels",
    ),
    "numbers from a chain": (
        model(
            top=lines(["let e0 = 2", *(f"let e{k + 1} = e{k} * e{k} + 1" for k in range(40))]),
            cost="mu[x] + e40",
        ),
        "MFG304",
        "whole number",
    ),
    "functions that double": (model(top=FUNCTIONS, cost="f25(mu[x])"), "MFG703", "10,000 times"),
    "a long function often": (
        model(top=LONG_FUNCTION, cost=" + ".join(f"f(mu[x] + {k})" for k in range(3000))),
        "MFG703",
        "more than 100,000 operations",
    ),
    "a tower of powers": (model(cost="mu[x] * 9^9^9"), "MFG702", "387420489 is larger than 64"),
    "a horizon of powers": (model(horizon="9^9^9"), "MFG702", "larger than 64"),
    "a tower of exponentials": (model(cost="exp(" * 9 + "mu[x]" + ")" * 9), "MFG304", "exp"),
    "an enum": (
        model(top="enum E { " + ", ".join(f"v{k}" for k in range(5000)) + " }"),
        "MFG703",
        "more than 4096",
    ),
    "arms": (
        model(cost="match x { " + ", ".join(f"{k} -> {k}" for k in range(5000)) + " }"),
        "MFG703",
        "more than 256",
    ),
    "nested sets": (
        model(cost="mu[x] + " + nested("sum", 12, PRODUCT, "{1, 2, 3}")),
        "MFG703",
        "written out",
    ),
    "nested ranges": (
        model(cost="mu[x] + " + nested("sum", 12, ANGLES, "0..3")),
        "MFG703",
        "written out",
    ),
    "nested ranges of agents": (
        agents(cost="mean(q.x for q in bird) + " + nested("sum", 12, PRODUCT, "0..3")),
        "MFG703",
        "written out",
    ),
    "a grid": (model(top="grid g { size 100000, 100000 }"), "MFG701", "100000 cells long"),
    "a map": (
        model(top='grid g { map """\n' + ("." * 600 + "\n") * 600 + '"""\n}'),
        "MFG703",
        "512 x 512",
    ),
    "words": (model(cost=" + ".join(["1"] * 150_000)), "MFG703", "more than 200,000 words"),
    "a name": (model(top=f"param {'p' * 900_000} : bool = true"), "MFG703", "more than 64"),
    "digits": (model(cost="mu[x] + " + "1" * 900_000), "MFG703", "900000 digits"),
    "an exponent": (model(cost="mu[x] + 1e999999999"), "MFG703", "beyond 300"),
    "a megabyte": (model() + "# filler\n" * 200_000, "MFG703", "larger than 1 MiB"),
    "a long horizon": (model(horizon="10000000"), "MFG213", "the horizon is 10000000"),
    "an array": (
        model(body="  action u : real[100000, 100000] in [0, 1]", cost="mu[x] + u[0, 0]"),
        "MFG701",
        "10,000,000,000 entries",
    ),
    "states": (model(last="0..10^12", step="clip(x + a)"), "MFG701", "1,000,000,000,001"),
    "a family": (FAMILY.replace("{}", "0..10^9").replace("{{", "{"), "MFG213", "a family"),
    "agents": (model(body="  agents 10^30"), "MFG304", "whole number"),
    "points of a disc": (
        agents(
            top="environment e {\n  state p : real[2000, 2] in [-1, 1] ~ disc(spacing = 0.5)\n"
            "  p' = p\n}"
        ),
        "MFG213",
        "2000 points",
    ),
    "unknown names": (
        model(
            top=lines(f"param parameter_{k} : real in [0, 1] = 0.5" for k in range(1900)),
            cost=" + ".join(f"parametr_{k}" for k in range(9000)),
        ),
        "MFG101",
        "did you mean",
    ),
    "failures": (
        model(cost="mu[x] + " + " + ".join(f"sqrt(x - {k})" for k in range(1, 5000))),
        "MFG304",
        "sqrt",
    ),
    "a cycle": (
        model(body=lines(f"  let e{k} = e{(k + 1) % 1900}" for k in range(1900)), cost="e0"),
        "MFG702",
        "more than 64 levels",
    ),
    "a path": (model(top='import f from "' + "a/" * 200_000 + '.mfg"'), "MFG011", "no file has"),
    "escapes in a path": (model(top='import f from "\x1b[2J.mfg"'), "MFG011", "\\x1b[2J"),
    "escapes in a name": (model(top="param p\x1b[31m : bool = true"), "MFG008", "U+001B"),
    "writing backwards": (model() + "# \u202e evil \u2066\n", "MFG008", "RIGHT-TO-LEFT"),
    "zero in a comment": (model() + "# \0\n", "MFG012", "is zero"),
    "no UTF-8 at the end": (model().encode() + b"# \xff\xfe\n", "MFG012", "0xff"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_spec_is_refused_with_its_own_message(
    name: str, tmp_path: Path, checked: Check
) -> None:
    spec, code, words = REFUSED[name]
    refused(checked(tmp_path, spec), code, words)


FINE: dict[str, str] = {
    "a sum of 20,000 terms": model(cost=" + ".join(["mu[x]"] + ["1e-6"] * 20_000)),
    "1,900 parameters": model(
        top=lines(f"param p{k} : real in [0, 1] = 0.5" for k in range(1900)),
        cost="mu[x] + " + " + ".join(f"p{k}" for k in range(1900)),
    ),
    "a doubling chain": model(body=chain(20, "e{0} * e{0} + 1"), cost="e20 * 1e-300"),
    "a sum over 10^9": model(cost="mu[x] + sum(sin(k) for k in 0..10^9) * 1e-9"),
    "an array over 10^8": model(top="let A = [i * 2.0 for i in 0..10^8]", cost="mu[x] + A[x]"),
    "a product of branches": model(
        cost=" * ".join(f"(if mu[{k % 3}] > {k + 1} / 100 then mu[x] else 1)" for k in range(60))
    ),
    "150,001 states in 2,000 waves": model(
        cost="mu[x] + " + " + ".join(f"sin(x * {k})" for k in range(2000)),
        last="0..150000",
        step="clip(x + a)",
    ),
    "eight nested means": agents(
        cost=nested("mean", 8, " + ".join(f"k{i}.x" for i in range(8)), "bird")
    ),
    "500 pairwise terms": agents(
        cost=" + ".join(f"mean(abs(q.x - {k} * x) for q in bird)" for k in range(500))
    ),
    "10^6 stages": model(horizon="1000000"),
    "10^9 actions and draws": model(
        body="  action b : int in 0..10^9\n  noise e : int in 0..10^9 ~ uniform",
        cost="mu[x] + b + e",
    ),
    "escapes in comments": "## \x1b[2J\x1b]0;owned\x07\n" + model() + "# \x1b[2J\n",
}


@pytest.mark.parametrize("name", FINE)
def test_a_large_spec_within_the_limits_passes(name: str, tmp_path: Path, checked: Check) -> None:
    outcome = checked(tmp_path, FINE[name])
    assert outcome.code == 0, outcome.text[:2000]
    assert "\x1b" not in outcome.text
    assert outcome.peak < MOST_MEMORY


def zeros(entries: int, claimed: str, kind: str = "<f8") -> bytes:
    """An npz archive of a few KiB whose array `toll` says that it has the shape `claimed`."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {claimed}, }}"
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    body = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toll.npy", body + bytes(8 * entries))
    return packed.getvalue()


DATA: dict[str, tuple[str, bytes, str]] = {
    "too large": ("csv", b"1,2,3\n" * 3_000_000, "larger than 16 MiB"),
    "a bomb": ("npz", zeros(4_000_000, "(4000000,)"), "unpacks to more than 16 MiB"),
    "a lie about its shape": ("npz", zeros(3, "(100000, 100000, 100000)"), "not an npz file"),
    "a negative shape": ("npz", zeros(3, "(-3,)"), "toll.npz"),
    "objects": ("npz", zeros(3, "(3,)", "|O"), "not an npz file"),
    "nested": ("json", b"[" * 100_000 + b"]" * 100_000, "not JSON text"),
    "digits": ("json", b"[" + b"1" * 1_000_000 + b", 2, 3]", "too many digits"),
    "a long field": ("csv", b"1" * 1_000_000 + b",2,3\n", "toll.csv"),
    "many rows": ("csv", b"1,2\n" * 1_000_000, "shape [1000000, 2]"),
}


@pytest.mark.parametrize("name", DATA)
def test_a_hostile_data_file_is_refused_at_its_parameter(
    name: str, tmp_path: Path, checked: Check
) -> None:
    ending, content, words = DATA[name]
    (tmp_path / f"toll.{ending}").write_bytes(content)
    spec = model(top=f'param toll : real[3] from "toll.{ending}"', cost="mu[x] + toll[x]")
    refused(checked(tmp_path, spec), "MFG705", words)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../secret.csv", "outside the project"),
        ("link.csv", "outside the project"),
        ("loop.csv", "no file has such a path"),
        ("folder.csv", "no such file"),
        ("pipe.csv", "no such file"),
        ("~/secret.csv", "no such file"),
        ("$HOME/secret.csv", "no such file"),
        ("/etc/passwd.csv", "relative"),
    ],
)
def test_data_comes_from_regular_files_of_the_project_alone(
    path: str, words: str, tmp_path: Path, checked: Check
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("1,2,3\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    spec = model(top=f'param toll : real[3] from "{path}"', cost="mu[x] + toll[x]")
    refused(checked(folder, spec), "MFG705", words)


def test_a_graph_of_a_million_nodes_is_refused(tmp_path: Path, checked: Check) -> None:
    rows = "".join(f"{k},{k + 1}\n" for k in range(1_000_000))
    (tmp_path / "links.csv").write_text("from,to\n" + rows)
    spec = model(top='graph city { file "links.csv" }', body="  action b : city.node")
    refused(checked(tmp_path, spec), "MFG701", "100,000")


def test_imports_nested_too_deeply_are_refused(tmp_path: Path, checked: Check) -> None:
    for k in range(20):
        (tmp_path / f"l{k}.mfg").write_text(
            f'library l{k}\n\nimport f from "l{k + 1}.mfg"\n\nfn g(y) = f(y)\n'
        )
    spec = model(top='import g from "l0.mfg"', cost="g(mu[x])")
    refused(checked(tmp_path, spec), "MFG703", "nested more than 8 deep")


def test_many_imports_are_refused(tmp_path: Path, checked: Check) -> None:
    for k in range(40):
        (tmp_path / f"l{k}.mfg").write_text(f"library l{k}\n\nfn f{k}(y) = y\n")
    spec = model(top=lines(f'import f{k} from "l{k}.mfg"' for k in range(40)))
    refused(checked(tmp_path, spec), "MFG703", "more than 32 imports")
