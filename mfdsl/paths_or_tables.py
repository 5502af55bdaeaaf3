"""Whether a game is solved on tables, or along drawn paths of its common noise."""

from dataclasses import replace

from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.planning import drawn_states
from mfdsl.runtime.solvers.networks.options import StructuralConfig
from mfdsl.settings import Settings

PATHS = 8  # where tables are missing and nobody says how many
FOR_PATHS = ("evaluate_every", "evaluate_paths", "futures")


def along(settings: Settings) -> bool:
    """Whether these settings go along drawn paths."""
    config = settings.config
    return isinstance(config, StructuralConfig) and config.paths > 0


def routed(game: Game, settings: Settings) -> Settings:
    """The settings with paths where `structural_pg` has no tables, or is asked for them.

    Raises:
        UsageError: options of tables and of paths are given together.
    """
    config = settings.config
    if not isinstance(config, StructuralConfig):
        return settings
    wanted = sorted(set(FOR_PATHS) & config.model_fields_set)
    if not config.paths:
        states = drawn_states(game.model)
        why = None if states is None else _missing(replace(game, bins=settings.bins))
        if why is None:
            if wanted:
                raise UsageError(
                    f"`{wanted[0]}` is of drawn paths, and {game.name} is solved on tables",
                    f"`--opt paths={PATHS}` goes along paths, where there are some",
                )
            return settings
        if settings.bins != Bins():
            raise UsageError(why.message, f"leave `bins` out to go along drawn paths of {states}")
        config = config.model_copy(update={"paths": PATHS})
    if settings.bins != Bins():
        raise UsageError("`bins` are of tables, and `paths` of games without", "leave one out")
    if config.memory:
        raise UsageError(
            "`memory` is of the pasts of tables: along paths a policy sees what `observe` lists",
            "leave `memory` out, or let members observe means of the law",
        )
    return replace(settings, config=config)


def _missing(game: Game) -> UsageError | None:
    """Why a game has no tables."""
    try:
        _ = game.reduced
    except UsageError as error:
        return error
    return None
