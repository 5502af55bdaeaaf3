"""The policy from which a solve begins: drawn, that of a run, or one that is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mfdsl.batches import RANDOM
from mfdsl.errors import UsageError
from mfdsl.runtime.evaluate import View
from mfdsl.runtime.policy import Axis, TabularPolicy, adding_up
from mfdsl.runtime.solution import License
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.solvers.starts import STARTS, begun, drawn
from mfdsl.runtime.solvers.table import Config
from mfdsl.runtime.solvers.varied import Varied
from mfdsl.settings import FROM_ANYWHERE

GIVEN = "given"
ROUNDING = 1e-3  # of the sum of chances in single precision


@dataclass(frozen=True, eq=False)
class Start:
    """Where to begin. The `origin` is `random`, the folder of a run, or `given` for a policy that
    Python code has made; a random one is drawn once the game is known.
    """

    origin: str
    policy: TabularPolicy | None = None

    @property
    def text(self) -> str:
        """The origin in words."""
        if self.origin == RANDOM:
            return "a policy drawn with the seed"
        return "a policy that was given" if self.origin == GIVEN else f"the policy of {self.origin}"


def check_beginner(solver: str) -> None:
    """Refuse a solver that cannot begin from a policy.

    Raises:
        UsageError: names those that can.
    """
    if solver not in STARTS:
        raise UsageError(
            f"{solver} does not begin from a policy", f"`--start` is for {', '.join(STARTS)}"
        )


def policies_of(start: Start, view: View, games: int, seeds: Sequence[int]) -> Tensor:
    """The first policies [B, T, S, A]: one for all games, or one for each.

    There is one seed, or one for each game. `view` is the game, which says what is legal.

    Raises:
        UsageError: the policy is of another game, or takes actions that are illegal in this one.
    """
    uniform = view.uniform().probs
    if start.policy is None:
        return drawn(uniform, tuple(seeds) * len(uniform) if len(seeds) == 1 else seeds)
    probs = start.policy.probs.to(uniform)
    _check_axes(start, view)
    if probs.ndim != uniform.ndim or probs.shape[1:] != uniform.shape[1:]:
        raise UsageError(
            f"{start.text} has sizes {_sizes(probs)} (stages x states x actions), and this game "
            f"has {_sizes(uniform)}",
            "take a policy of this game at these sizes",
        )
    if len(probs) not in (1, games):
        raise UsageError(
            f"{start.text} is {len(probs)} policies, one for each game of a batch, and here "
            f"{'is one game' if games == 1 else f'are {games}'}",
            "take the policy of one game, or of a batch like this one",
        )
    _check_chances(start, probs, uniform)
    return adding_up(probs)


def begun_state(
    solver: str,
    config: Config,
    view: View,
    probs: Tensor,
    *,
    games: int = 1,
    varied: Varied | None = None,
) -> dict[str, Tensor]:
    """The state of a solver before its first iteration from these policies.

    Raises:
        UsageError: the solver does not begin from a policy, or is not defined on the game.
    """
    check_beginner(solver)
    try:
        return begun(solver, make_solver(solver, config, varied=varied), view, probs, games)
    except SolverError as error:
        raise UsageError(str(error)) from None


def license_from(license: License, solver: str) -> License:
    """The licence of a solver that begins elsewhere than at the uniform policy: only theorems that
    hold from every policy prove something.
    """
    if license.verdict != "proved" or solver in FROM_ANYWHERE:
        return license
    text = f"{license.text}, from the uniform policy: a heuristic from this one"
    return replace(license, verdict="unknown", text=text)


def _check_axes(start: Start, view: View) -> None:
    """Refuse tables over other variables, or other numbers of values of these."""
    policy, program = start.policy, view.program
    assert policy is not None
    for given, own in (
        (policy.states, program.state_axes()),
        (policy.actions, program.action_axes()),
    ):
        if given and _axes_text(given) != _axes_text(own):
            raise UsageError(
                f"{start.text} is over {_axes_text(given)}, and this game has {_axes_text(own)}",
                "take a policy of this game at these sizes",
            )


def _check_chances(start: Start, probs: Tensor, uniform: Tensor) -> None:
    sums = bool(((probs.sum(-1) - 1).abs() <= ROUNDING).all())  # no number is near to nan
    if not (sums and bool((probs >= 0).all())):
        raise UsageError(f"{start.text} is none: not all of it is probabilities")
    if bool(((uniform == 0) & (probs > 0)).any()):
        raise UsageError(
            f"{start.text} takes actions that are illegal in this game",
            "take a policy of this game at these parameters",
        )


def _sizes(probs: Tensor) -> str:
    return " x ".join(f"{size:,}" for size in torch.Size(probs.shape[1:]))


def _axes_text(axes: Sequence[Axis]) -> str:
    return ", ".join(f"{axis.name} ({axis.size:,} values)" for axis in axes)
