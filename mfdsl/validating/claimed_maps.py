"""The maps of `require invariant(...)`, with images as values that can be computed.

Each claim is written again as lets of its player and the spec compiled once more, without its other
requirements; the lets are what variables go to.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mfdsl.bundle import MAIN, bundle_of
from mfdsl.compiler.diagnostics import Edit, Sink
from mfdsl.compiler.driver import Options, compile_file
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.parse import parse
from mfdsl.game import Game

NAME = "invariant"
PREFIX = "image_of_claim"


@dataclass(frozen=True)
class ClaimedMap:
    """Variables of a population go to the nodes `images` of `model`; `text` is the claim.

    `proved` is true where all such claims about the population are proved.
    """

    population: str
    text: str
    images: Mapping[str, int]
    model: Model
    proved: bool


def claimed_maps(game: Game) -> tuple[ClaimedMap, ...]:
    """The maps that the blocks of populations claim, one for each member of a family."""
    found = [c for c in game.compilation.certificates if c.claim == NAME]
    if not found:
        return ()
    files = bundle_of(game.compilation)
    source = SourceFile(MAIN, files[MAIN].decode())
    unit = parse(source, Sink())
    claims = [*_claims(unit)]
    text = source.text
    for edit in sorted(_edits(unit, claims, source.text), key=lambda e: -e.span.start):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    model = _compiled(game, {**files, MAIN: text.encode()})
    maps = []
    for player in model.populations:
        lets = {let.name: let.node for let in player.lets}
        proved = all(c.verdict == "proved" for c in found if c.subject == player.name)
        for k, call in enumerate(claims):
            names = [a.name.name for a in call.arguments if a.name is not None]
            images = {n: lets[f"{PREFIX}_{k}_{n}"] for n in names if f"{PREFIX}_{k}_{n}" in lets}
            if images:
                written = source.text[call.span.start : call.span.end]
                maps.append(ClaimedMap(player.name, written, images, model, proved))
    return tuple(maps)


def _compiled(game: Game, files: Mapping[str, bytes]) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        options = Options(parameters=dict(game.parameters), root=Path(folder))
        return compile_file(Path(folder) / MAIN, options).require_model()


def _claims(unit: ast.Unit) -> Iterator[ast.Call]:
    """The calls of `require invariant(...)` in blocks of populations, in order."""
    for player in unit.declarations:
        if isinstance(player, ast.Player) and player.kind == "population":
            for member in player.members:
                if isinstance(member, ast.Require) and _is_map(member.claim):
                    assert isinstance(member.claim, ast.Call)
                    yield member.claim


def _is_map(claim: ast.Expr) -> bool:
    return isinstance(claim, ast.Call) and claim.function.name == NAME


def _edits(unit: ast.Unit, claims: list[ast.Call], text: str) -> Iterator[Edit]:
    """Lets in the place of claims, and nothing in that of all other requirements."""
    blocks = [d.members for d in unit.declarations if isinstance(d, ast.Player)]
    members = [m for block in blocks for m in block]
    for require in [*unit.declarations, *members]:
        if isinstance(require, ast.Require):
            lines = [
                f"let {PREFIX}_{claims.index(call)}_{a.name.name} ="
                f" {text[a.value.span.start : a.value.span.end]}"
                for call in claims
                if call is require.claim
                for a in call.arguments
                if a.name is not None
            ]
            yield Edit(require.span, "\n".join(lines))
