"""A game along drawn paths of its common noise, for solvers that meet too many pasts for tables."""

from pathlib import Path

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.tabular.along import along_path
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.program import load_program
from mfdsl.runtime.solvers.networks.along import PathGame


def path_game(game: Game, seed: int = 0) -> PathGame:
    """The tables of the game along a path, and who draws paths.

    Raises:
        UsageError: its common states are not of that kind.
    """
    try:
        along = along_path(game.model)
    except NoTables as error:
        raise UsageError(f"`{game.name}` has no paths: {error}", error.advice) from None
    name, key = Path(game.compilation.name).name, game.key
    text = emit_torch(
        along.model, source_name=name, digest=key[:8], line_of=game.compilation.line_of
    )
    program = load_program(text, along.model, game.name)
    return PathGame(program, game.agents, along.parameters, along.seen, seed, along.noises)
