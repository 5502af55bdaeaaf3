"""Tables of teams, for tests: those of the game with the same moves and rewards."""

from mfdsl import Game, load
from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.runtime.program import Program, load_program


def tables_of(game: Game) -> Program:
    """The tables of a finite game of one population, whoever it is played for."""
    model = game.model.model_copy(update={"objective": "nash"})
    line_of = game.compilation.line_of
    text = emit_torch(model, source_name=game.name, digest="0" * 8, line_of=line_of)
    return load_program(text, model, game.name)


def toy() -> Program:
    """Two places and a crowd that should be split between them (specs/mfppo_toy.mfg)."""
    return tables_of(load("mfppo_toy"))
