"""A game whose crowd answers parameters in logit equilibrium, for verbs that choose these."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfdsl.compiler.ir.entries import entry
from mfdsl.entries import places_of
from mfdsl.errors import UsageError, unknown
from mfdsl.game import Device, Game
from mfdsl.planning import check_tables
from mfdsl.runtime.calibration.equilibrium import LogitEquilibrium
from mfdsl.runtime.calibration.moving import Response
from mfdsl.runtime.calibration.responses import response_of
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.smooth_parameters import check_smooth, range_of
from mfdsl.solving import find_device
from mfdsl.swept import check_point
from mfdsl.transfers import Welfare

Values = dict[str, float | tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Crowd:
    """A game, and its response to the parameters that may move, numbers and arrays."""

    game: Game
    response: Response

    @classmethod
    def of(cls, game: Game, names: Sequence[str], temperature: float, device: Device) -> "Crowd":
        """The crowd of a game with tables.

        Raises:
            CalibrationError: of a stationary game, where mass ends depends on the policy.
            UsageError: a name is no real parameter that can move, the temperature is not above 0,
                or the players are a team.
        """
        if game.model.objective == "team":
            raise UsageError(
                f"the players of {game.name} are a team, which does what is best for it",
                "give the spec `objective nash`",
            )
        if not 0 < temperature < math.inf:
            raise UsageError(f"the temperature is {temperature:g}", "it must be a number above 0")
        check_tables(game.model, game.bins)
        check_smooth(game, names, "--choose", arrays=True)
        params = game.program.params(dtype=torch.float64, device=find_device(device))
        places = places_of(game.model, names)
        return cls(game, response_of(game.program, params, tuple(names), temperature, places))

    @property
    def terms(self) -> list[str]:
        """Names of the terms of rewards and costs."""
        return list(dict.fromkeys(t.name for p in self.game.model.players for t in p.rewards))

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """The ends between which each number may move."""
        return [range_of(self.game, name) for name, _ in self.response.entries]

    def check_terms(self, names: Iterable[str]) -> None:
        """Refuse a name that is no term.

        Raises:
            UsageError: the name, and one like it.
        """
        for name in names:
            if name not in self.terms:
                raise unknown("term", name, self.terms)

    def paying(self, term: str) -> Response:
        """The same game with one term of its rewards alone.

        Raises:
            UsageError: its tables differ from those of the whole game.
        """
        others = [name for name in self.terms if name != term]
        whole = self.response
        part = Welfare.of(self.game, others, torch.float64, whole.params.unit.device)
        return response_of(
            part.game.program, part.params, whole.names, whole.temperature, whole.places
        )

    def labels(self, places: Iterable[int]) -> tuple[str, ...]:
        """What numbers at these places are called."""
        return tuple(self.label(place) for place in places)

    def label(self, place: int) -> str:
        """`toll` or `toll[3]`."""
        name, at = self.response.entries[place]
        return f"{name}[{', '.join(map(str, at))}]" if at else name

    def values(self, theta: Tensor) -> Values:
        """Values by name, those of an array row by row; the spec has no errors at them.

        Raises:
            CompileError: it has some.
        """
        entries = self.response.entries
        numbers: dict[str, list[float]] = {name: [] for name in self.response.names}
        for (name, _), value in zip(entries, theta.tolist(), strict=True):
            numbers[name].append(value)
        scalars = {name for name, at in entries if not at}
        found: Values = {n: v[0] if n in scalars else tuple(v) for n, v in numbers.items()}
        check_point(self.game, self.game.parameters, found, claims=False)
        return found

    def exploitability(self, at: LogitEquilibrium) -> float:
        """What one gains who leaves the policy of an equilibrium for the best response."""
        view = build_view(self.response.program, self.response.bound(at.theta)[0])
        probs = self.response.policy(at.scores)
        return Evaluation(view, view.policy(probs[None])).exploitability.value


def as_toml(comment: str, values: Values) -> str:
    """Values as a file for `--params`."""
    lines = [f"# {comment}"]
    for name, value in values.items():
        lines.append(f"{key(name)} = {list(value) if isinstance(value, tuple) else value!r}")
    return "\n".join(lines) + "\n"


def key(name: str) -> str:
    """A name as a key of TOML: entries of arrays stand in quotes."""
    return name if entry(name) is None else json.dumps(name)


def as_lists(values: Mapping[str, float | tuple[float, ...]]) -> dict[str, float | list[float]]:
    """Values as JSON has them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
