"""The contract of a solver: three functions over an explicit frozen state of tensors."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import Ties, greedy_probs, softmax_probs
from mfdsl.runtime.solvers.table import SOLVERS, Config
from mfdsl.runtime.solvers.varied import Varied, tall

if TYPE_CHECKING:
    from mfdsl.runtime.solvers.episodes import Crowd


@dataclass(frozen=True, eq=False)
class State:
    """Where a solver stands after `iteration` steps; solvers that remember more extend it."""

    iteration: int
    probs: Float[Tensor, "batch stages states actions"]


@dataclass(frozen=True, eq=False)
class KeptState(State):
    """That of a solver that keeps the best policy of all scored: of least exploitability `gap`,
    `reached` at that iteration.
    """

    best: Float[Tensor, "batch stages states actions"]
    gap: Float[Tensor, " batch"]
    reached: Int[Tensor, " batch"]


S = TypeVar("S", bound=State)
K = TypeVar("K", bound=KeptState)


class Solver(Protocol[S]):
    """An algorithm; the loop owns stopping, evaluation, history and files."""

    @property
    def config(self) -> Config:
        """The options."""

    def init(self, view: View) -> S:
        """The state before the first step: the uniform policy."""

    def step(self, evaluation: Evaluation, state: S) -> S:
        """The next state; `evaluation` is that of the policy in `state`."""


class SolverError(ValueError):
    """An unknown solver, or options or a saved state that do not fit it."""


def make_solver(
    name: str,
    options: Mapping[str, Any] | Config | None = None,
    crowd: "Crowd | None" = None,
    varied: Varied | None = None,
) -> Solver[Any]:
    """The named solver with these options; one that plays has a crowd to play with.

    Options that are `varied` differ over the games of a batch. So may the seed of one that draws
    nothing: its games differ in where they begin.

    Raises:
        SolverError: the name is unknown, nobody is there to play with, or an option cannot vary.
        pydantic.ValidationError: an option is unknown or out of range.
    """
    if name not in SOLVERS:
        raise SolverError(f"there is no solver {name}; there are {', '.join(SOLVERS)}")
    row = SOLVERS[name]
    config = options if isinstance(options, row.config) else row.config(**dict(options or {}))
    solver = getattr(importlib.import_module(row.module), row.symbol)
    if varied is not None and varied.values:
        draws = row.plays or "seed" in row.config.model_fields
        for option in varied.values:
            if option not in row.varied and (draws or option != "seed"):
                raise SolverError(f"`{option}` of {name} is one for all games of a batch")
        if row.varied:
            return cast(Solver[Any], solver(config, varied))
    if not row.plays:
        return cast(Solver[Any], solver(config))
    if crowd is None:
        raise SolverError(f"{name} learns from games of agents, and there are none")
    return cast(Solver[Any], solver(config, crowd))


def unscored(probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The fields of a kept state before any policy is scored."""
    games = len(probs)
    still = torch.zeros(games, dtype=torch.int64, device=probs.device)
    return probs, probs.new_full((games,), torch.inf), still


def scored(state: K, evaluation: Evaluation) -> K:
    """The state with its policy kept where it is better than the one before."""
    gap = torch.tensor(evaluation.exploitability.per_game).to(state.gap)
    better = gap < state.gap
    return replace(
        state,
        best=torch.where(better[:, None, None, None], state.probs, state.best),
        gap=torch.where(better, gap, state.gap),
        reached=state.reached.masked_fill(better, state.iteration),
    )


def save_state(state: State) -> dict[str, Tensor]:
    """The fields of the state as tensors."""
    values = {entry.name: getattr(state, entry.name) for entry in fields(state)}
    return {name: torch.as_tensor(value) for name, value in values.items()}


def load_state(kind: type[S], tensors: Mapping[str, Tensor]) -> S:
    """The state that `save_state` took apart.

    Raises:
        SolverError: the tensors are those of another solver, or of another version of this one.
    """
    names = {entry.name for entry in fields(kind)}
    if set(tensors) != names:
        odd = [f"lacks {_listed(names - set(tensors))}"] if names - set(tensors) else []
        odd += [f"has {_listed(set(tensors) - names)}"] if set(tensors) - names else []
        raise SolverError(
            f"the saved state {' and '.join(odd)}: another solver or another version of "
            "mfdsl wrote it, and only that can continue it; begin at its policy with `--start RUN`"
        )
    values: dict[str, Any] = dict(tensors)
    values["iteration"] = int(tensors["iteration"])
    return kind(**values)


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def response(
    q: Float[Tensor, "batch stages states actions"], temperature: float | Tensor, ties: Ties
) -> Float[Tensor, "batch stages states actions"]:
    """Greedy in the values at temperature 0, otherwise their softmax; [B] has one for each game."""
    if not isinstance(temperature, Tensor):
        return softmax_probs(q, temperature) if temperature > 0 else greedy_probs(q, ties)
    soft = temperature > 0
    if soft.all():
        return softmax_probs(q, temperature)
    smooth = softmax_probs(q, temperature.where(soft, 1.0))
    return torch.where(soft[:, None, None, None], smooth, greedy_probs(q, ties))


def mixed(old: Tensor, new: Tensor, damping: float | Tensor) -> Tensor:
    """(1 - damping) new + damping old; [B] has one weight for each game."""
    if isinstance(damping, Tensor):
        return torch.lerp(new, old.expand_as(new), tall(damping))
    return new if damping == 0 else torch.lerp(new, old, damping)
