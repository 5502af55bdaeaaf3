"""Broken specs are diagnosed, never crashed on: tokens of good specs deleted, swapped, doubled."""

import random
import shutil
from pathlib import Path

import pytest

from mfdsl.compiler.driver import compile_file
from mfdsl.compiler.render import render_text
from mfdsl.compiler.syntax.tokens import scan
from mfdsl.shipped import shipped_specs

SPECS = shipped_specs()
MUTANTS = -(-1000 // len(SPECS))


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
def test_a_damaged_spec_gets_placed_diagnostics_and_no_exception(name: str, tmp_path: Path) -> None:
    folder = SPECS[name].parent
    shutil.copytree(folder / "data", tmp_path / "data")
    path = tmp_path / f"{name}.mfg"
    generator = random.Random(name)
    for _ in range(MUTANTS):
        damaged = mutant(SPECS[name].read_text(), generator)
        path.write_text(damaged)
        compilation = compile_file(path)
        assert compilation.ok == (compilation.model is not None), damaged
        for diagnostic in compilation.diagnostics:
            for label in diagnostic.labels:
                size = len(compilation.sources[label.span.file].text)
                assert 0 <= label.span.start <= label.span.end <= size, damaged
        render_text(compilation.diagnostics, compilation.sources)
