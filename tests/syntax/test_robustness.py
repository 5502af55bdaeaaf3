"""No text makes the parser raise, hang or point outside of the file."""

import random
import time
from pathlib import Path

import pytest

from mfdsl.compiler.diagnostics import Diagnostic, Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.limits import MAX_REPORTS
from mfdsl.compiler.syntax.parse import parse
from mfdsl.compiler.syntax.tokens import scan

SPECS = Path(__file__).parents[1] / "golden" / "language"
# Generous: the slowest of these texts takes a second on a slow machine.
SECONDS = 10


def checked(text: str) -> list[Diagnostic]:
    """The diagnostics of `text`, after the checks that hold for every text."""
    sink = Sink()
    start = time.perf_counter()
    parse(SourceFile("m.mfg", text), sink)
    assert time.perf_counter() - start < SECONDS
    assert len(sink.diagnostics) <= MAX_REPORTS
    for diagnostic in sink.diagnostics:
        for label in diagnostic.labels:
            assert 0 <= label.span.start <= label.span.end <= len(text)
    return sink.diagnostics


def mutated(text: str, choose: random.Random) -> str:
    tokens = scan(text)
    first, second = sorted(choose.sample(tokens, 2), key=lambda token: token.start)
    match choose.randrange(4):
        case 0:
            return text[: first.start] + text[first.end :]
        case 1:
            return f"{text[: first.end]} {first.text}{text[first.end :]}"
        case 2:
            between = text[first.end : second.start]
            return text[: first.start] + second.text + between + first.text + text[second.end :]
        case _:
            return f"{text[: first.start]} {second.text} {text[first.end :]}"


def test_mutations_of_the_specs_never_raise() -> None:
    choose = random.Random(20240)
    texts = [path.read_text(encoding="utf-8") for path in sorted(SPECS.rglob("*.mfg"))]
    broken = sum(bool(checked(mutated(choose.choice(texts), choose))) for _ in range(300))
    assert broken > 200, "most mutations are errors"


NASTY = {
    "parentheses": "model m\nlet a = " + "(" * 20_000 + "1" + ")" * 20_000,
    "powers": "model m\nlet a = " + "x^" * 20_000 + "x",
    "negations": "model m\nlet a = " + "not " * 20_000 + "x",
    "branches": "model m\nlet a = " + "if a then b else " * 10_000 + "c",
    "fields": "model m\nlet a = x" + ".y" * 20_000,
    "indices": "model m\nlet a = x" + "[0]" * 20_000,
    "openers": "(" * 100_000,
    "closers": "model m\n" + ")" * 100_000,
    "quotes": '"\n' * 50_000,
    "keywords": "model m\nlet a = " + "param + " * 1_000,
    "exponent": "model m\nlet a = 1e999999999",
    "two MiB": "x " * (1 << 20),
    "tokens": "x " * 300_000,
    "surrogate": "model m\nlet a = \ud800",
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_texts_are_refused_quickly(name: str) -> None:
    assert checked(NASTY[name])


@pytest.mark.parametrize("seed", range(5))
def test_random_characters_are_refused_quickly(seed: int) -> None:
    choose = random.Random(seed)
    data = choose.randbytes(20_000)
    assert checked(data.decode("latin-1"))
    assert checked("".join(map(chr, (32 + byte % 95 for byte in data))))
    assert checked(data.decode("utf-16-le", errors="surrogatepass"))


def test_long_sums_and_nesting_up_to_the_limit_are_fine() -> None:
    assert checked("model m\nlet a = " + " + ".join(["x"] * 10_000)) == []
    assert checked("model m\nlet a = " + "(" * 64 + "1" + ")" * 64) == []
    assert checked("model m\nlet a = " + "(1 + " * 60 + "1" + ")" * 60) == []
