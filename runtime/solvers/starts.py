"""Where a solver stands that begins at a given policy instead of the uniform one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import View
from mfdsl.runtime.solvers.base import Solver, save_state
from mfdsl.runtime.solvers.course import MEMBER
from mfdsl.runtime.solvers.members import Member
from mfdsl.runtime.solvers.state_rows import repeated
from mfdsl.runtime.solvers.varied import tall

# The least probability of a legal action for solvers that step in logarithms: from zero none
# would ever come back.
LEAST = 1e-12
SPREAD = 2.0

Start = Callable[[Solver[Any], Any, Tensor], Any]


def drawn(
    uniform: Float[Tensor, "batch stages states actions"], seeds: Sequence[int]
) -> Float[Tensor, "games stages states actions"]:
    """A policy for each seed: softmax of the uniform one's logarithms plus twice a Gumbel draw."""
    found = []
    for place, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        draws = torch.rand(uniform.shape[1:], generator=generator, dtype=torch.float64)
        gumbel = -(-draws.clamp(min=1e-12).log()).log()
        row = uniform[place if len(uniform) > 1 else 0]
        found.append(torch.softmax(row.log() + SPREAD * gumbel.to(uniform), -1))
    return torch.stack(found)


def begun(
    name: str,
    solver: Solver[Any],
    view: View,
    probs: Float[Tensor, "batch stages states actions"],
    games: int = 1,
) -> dict[str, Tensor]:
    """The saved state of a solver that has made no iteration from a policy, as `solve` takes it.

    `probs` has one policy for all games, or one for each. The name is one of `STARTS`.
    """
    fresh = repeated(solver.init(view), games)
    policies = probs.to(fresh.probs).expand_as(fresh.probs).contiguous()
    saved = save_state(STARTS[name](solver, fresh, policies))
    if games == 1:
        return saved
    none = Member()
    return saved | {
        "iteration": torch.zeros(games, dtype=torch.int64),
        MEMBER + "best": torch.full((games,), none.best, dtype=torch.float64),
        MEMBER + "waited": torch.full((games,), none.waited),
    }


def _plain(solver: Solver[Any], fresh: Any, probs: Tensor) -> Any:
    """Solvers that keep nothing but their policy."""
    return replace(fresh, probs=probs)


def _summed(solver: Solver[Any], fresh: Any, probs: Tensor) -> Any:
    """Mirror descent: the sum of values whose softmax is the policy."""
    inside, logs = _inside(fresh, probs)
    temperature = solver.varied.of(solver.config, "temperature", logs)  # type: ignore[attr-defined]
    if isinstance(temperature, Tensor):
        temperature = tall(temperature)
    return replace(fresh, probs=inside, scores=(temperature * logs).where(inside > 0, 0))


def _scored(solver: Solver[Any], fresh: Any, probs: Tensor) -> Any:
    """Policy mirror descent: the scores whose softmax is the policy."""
    inside, logs = _inside(fresh, probs)
    return replace(fresh, probs=inside, scores=logs.where(inside > 0, 0))


def _logarithms(*names: str) -> Start:
    """Solvers that keep logarithms of the policy under these names."""

    def start(solver: Solver[Any], fresh: Any, probs: Tensor) -> Any:
        inside, logs = _inside(fresh, probs)
        return replace(fresh, probs=inside, **{name: logs.clone() for name in names})

    return start


def _averages(solver: Solver[Any], fresh: Any, probs: Tensor) -> Any:
    """Successive averages: the policy is the best one so far, and where it goes."""
    return replace(fresh, probs=probs, best=probs, target=probs)


def _inside(fresh: Any, probs: Tensor) -> tuple[Tensor, Tensor]:
    """The policy with at least `LEAST` on every legal action, and its logarithms."""
    legal = fresh.probs > 0
    lifted = probs.clamp(min=LEAST).where(legal, 0)
    lifted = lifted / lifted.sum(-1, keepdim=True)
    return lifted, lifted.log()


STARTS: Mapping[str, Start] = {
    "omd": _summed,
    "fictitious_play": _plain,
    "fixed_point": _plain,
    "policy_iteration": _plain,
    "mirror_prox": _logarithms("log_probs"),
    "frank_wolfe": _plain,
    "pmd": _scored,
    "soft_fixed_point": _plain,
    "munchausen_omd": _logarithms("log_probs"),
    "prior_descent": _logarithms("log_probs", "log_prior"),
    "successive_averages": _averages,
    "social_gradient": _logarithms("log_probs", "before"),
}
