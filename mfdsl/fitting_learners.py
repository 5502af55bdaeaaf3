"""Which learners can be used on a game: each is set up once with its defaults, and says why not."""

from dataclasses import dataclass
from typing import Any, Literal

from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.settings import resolve

NO_RATE = "no rate is proved for networks"
NO_EQUILIBRIUM = "its players are a team, and best responses to a law find equilibria of games"


@dataclass(frozen=True)
class Suitability:
    """Whether a learner can be used on a game, why, and the options that it needs besides."""

    learner: str
    status: Literal["heuristic", "no"]
    because: str
    options: tuple[tuple[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The entry of `mfdsl solvers SPEC --json`."""
        return {
            "solver": self.learner,
            "applies": self.status,
            "because": self.because,
            "options": dict(self.options),
        }


def suitable(game: Game) -> tuple[Suitability, ...]:
    """One entry for each learner; torch is imported where one has the objective of the game."""
    needed = () if game.model.horizon.kind == "finite" else (("steps", 100),)
    found = []
    for name, row in LEARNERS.items():
        if row.objective == game.model.objective:
            found.append(_tried(game, name, needed))
            continue
        what = "what is best for a team" if row.objective == "team" else "an equilibrium"
        because = f"it learns {what}, and the objective is {game.model.objective}"
        found.append(Suitability(name, "no", because))
    return tuple(found)


def _tried(game: Game, name: str, options: tuple[tuple[str, Any], ...]) -> Suitability:
    from mfdsl.learning import prepare_training

    try:
        settings = resolve(game.model, name, options=dict(options))
        prepare_training(game, settings)
    except UsageError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return Suitability(name, "no", f"{error.message}{hint}", options)
    shown = ", ".join(f"`--opt {key}={value}`" for key, value in options)
    because = f"{NO_RATE}; the game has no end: {shown} says how long to play" if shown else NO_RATE
    return Suitability(name, "heuristic", because, options)
