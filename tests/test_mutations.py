"""Broken specs are diagnosed, never crashed on: tokens of good specs deleted, swapped, doubled."""

import random
from pathlib import Path

import pytest

from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.render import render_text
from mfdsl.compiler.syntax.tokens import scan
from mfdsl.shipped import shipped_specs

SPECS = shipped_specs()
MUTANTS = -(-2000 // len(SPECS))


def mutant(text: str, generator: random.Random) -> str:
    """The text with one token deleted, doubled, or swapped with another."""
    tokens = [token for token in scan(text) if token.kind not in ("comment", "doc")]
    one, other = sorted(generator.sample(tokens, 2), key=lambda token: token.start)
    match generator.choice(("delete", "swap", "double")):
        case "delete":
            return text[: one.start] + text[one.end :]
        case "double":
            return text[: one.end] + " " + text[one.start :]
    between = text[one.end : other.start]
    return text[: one.start] + other.text + between + one.text + text[other.end :]


@pytest.mark.parametrize("name", SPECS)
def test_a_damaged_spec_gets_placed_diagnostics_and_no_exception(name: str) -> None:
    path: Path = SPECS[name]
    text = path.read_text()
    generator = random.Random(name)
    for _ in range(MUTANTS):
        damaged = mutant(text, generator)
        compilation = compile_text(damaged, name=path.name)
        assert compilation.ok == (compilation.model is not None), damaged
        for diagnostic in compilation.diagnostics:
            for label in diagnostic.labels:
                size = len(compilation.sources[label.span.file].text)
                assert 0 <= label.span.start <= label.span.end <= size, damaged
        render_text(compilation.diagnostics, compilation.sources)
