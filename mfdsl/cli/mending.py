"""What to try after a solve that ended in values that are not finite: none can be played."""

from collections.abc import Mapping
from shlex import quote

from mfdsl.compiler.driver import ParameterValue
from mfdsl.game import Game
from mfdsl.settings import Settings

CODE = "MFG903"
SHORTER = 0.1  # of the step that was too long


def mending_command(
    game: Game,
    settings: Settings,
    *,
    single: bool = False,
    alone: bool = True,
    blamed: bool = False,
) -> str:
    """The same solve in double precision where it was in `single` and tables have more, else with
    a tenth of the step that somebody chose; the page on such values where neither is to be had,
    where a term of the reward is `blamed`, and for a game that is not `alone` in its batch.
    """
    config = settings.config
    step = getattr(config, "learning_rate", 0.0)
    if blamed or not alone or not (step or single):
        return f"mfdsl explain {CODE}"
    given = {name: getattr(config, name) for name in sorted(config.model_fields_set - {"seed"})}
    given |= settings.bins.to_options()
    if not single:
        given["learning_rate"] = float(f"{SHORTER * step:.3g}")
    words = ["mfdsl solve", quote(game.compilation.name), *_flags("--set", game.parameters)]
    return " ".join([*words, f"--solver {settings.solver}", *_flags("--opt", given)])


def _flags(flag: str, values: Mapping[str, ParameterValue]) -> list[str]:
    return [f"{flag} {quote(f'{name}={_text(value)}')}" for name, value in values.items()]


def _text(value: ParameterValue) -> str:
    """A value as the command line reads it; arrays are one list of their entries."""
    return f"[{','.join(map(repr, value))}]" if isinstance(value, tuple) else str(value)
