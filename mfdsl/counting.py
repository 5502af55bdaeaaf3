"""Games whose agents are counted instead of moved one by one, where nobody tells them apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mfdsl.compiler.backend.particles.emit import emit_particles
from mfdsl.compiler.ir.counted import NotCounted, parts
from mfdsl.compiler.ir.model import Model
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.agents import AgentProgram, load_agents
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.counted.cells import CountedProgram
from mfdsl.runtime.counted.chances import chances_of

By = Literal["auto", "agents", "counts"]

MANY = 100_000  # agents from which on they are counted unasked
CROWDED = 5  # and so many for each cell: below, moving them costs less
MOST_CELLS = 1 << 24


def counted(game: Game) -> CountedProgram:
    """The parts of a game of counts.

    Raises:
        UsageError: its agents cannot be counted, and why.
    """
    try:
        made = parts(game.model)
    except NotCounted as error:
        raise _refused(game, str(error)) from None
    start, moves, rest = (_loaded(game, model) for model in (made.start, made.moves, made.rest))
    program = CountedProgram(game.agents, start, moves, rest, made.reward_noises, made.fixed)
    if program.cells > MOST_CELLS:
        raise _refused(game, f"it has {program.cells:,} states with actions and noises")
    return program


def countable(
    game: Game, behaviour: Behaviour, agents: Sequence[int], by: By
) -> CountedProgram | None:
    """The game to count, None for one whose agents are to be moved one by one.

    Without being asked, agents are counted where they are many, and that can be done.

    Raises:
        UsageError: counting is asked for and cannot be done.
    """
    many = min(agents, default=0) >= MANY
    if by == "agents" or (by == "auto" and not many):
        return None
    if chances_of(behaviour, game.model) is None:
        if by == "counts":
            raise _refused(game, "its policy draws for single agents and gives no probabilities")
        return None
    try:
        program = counted(game)
    except UsageError:
        if by == "counts":
            raise
        return None
    if by == "auto" and min(agents) < CROWDED * program.cells:
        return None
    return program


def _refused(game: Game, why: str) -> UsageError:
    return UsageError(
        f"the agents of `{game.name}` cannot be counted: {why}", "simulate them with `--by agents`"
    )


def _loaded(game: Game, model: Model) -> AgentProgram:
    """The module of a part."""
    name, key = Path(game.compilation.name).name, game.key
    line_of = game.compilation.line_of
    text = emit_particles(model, source_name=name, digest=key[:8], line_of=line_of)
    return load_agents(text, model, game.name)
