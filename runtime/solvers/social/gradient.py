"""Accelerated mirror ascent on the social value along its exact gradient through the flow."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.solvers.base import SolverError, State
from mfdsl.runtime.solvers.options import SocialGradientConfig
from mfdsl.runtime.solvers.social.view import SocialView, earnings
from mfdsl.runtime.solvers.varied import Varied

FIRST_RATE = 1.0
MOST_RATE = 1e8
MOST_TRIALS = 60
GROWTH = 1.2
SHRINKAGE = 0.5
SUFFICIENT = 0.5  # part of the gain to first order that a step has to make (Armijo)
TURNED = 0.5  # part of the slope that may have turned round at the end of a step
ROUNDING = 1e3


@dataclass(frozen=True, eq=False)
class Climbing(State):
    """`log_probs` is the policy, so that no action is lost to underflow, and `before` the last one.

    `pace` is t_k of the momentum, `rate` the last step.
    """

    log_probs: Float[Tensor, "batch stages states actions"]
    before: Float[Tensor, "batch stages states actions"]
    pace: Float[Tensor, " batch"]
    rate: Float[Tensor, " batch"]


@dataclass(frozen=True)
class SocialGradient:
    """x_{k+1} = y_k + rate * Q(y_k), y_k = x_k + (t_k - 1) / t_{k+1} (x_k - x_{k-1}), where x and y
    are logarithms of policies up to what sums to 1, with line search on the social value J.

    Q is what a move adds to the social value of everybody (`view.py`), the adjoint of the flow, so
    this is the natural gradient of J, or policy mirror ascent (Agarwal et al. 2021, arXiv
    1908.00261), with the momentum of Nesterov 1983, t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2. A step
    gains at least half of what it would to first order (Armijo 1966); the rate grows by a fifth
    before each step and halves until that holds. Steps too small for that test are taken when the
    slope along them has not turned round by more than half (Hager and Zhang 2005, doi
    10.1137/030601880). Where J would fall, or the step points back behind x_k, the momentum starts
    anew (O'Donoghue and Candes 2015, arXiv 1204.3982), so that J never falls.

    The exploitability in the history is the gain of the best change of the policy to first order,
    0 at stationary points only. Where moves do not read the law and J is concave in the flow it is
    a certified bound on what the optimum is better by. Otherwise the end is a stationary point,
    and `seed` says where to begin: at the uniform policy with 0, else at a random one.
    """

    config: SocialGradientConfig
    varied: Varied = field(default_factory=Varied)

    def init(self, view: View) -> Climbing:
        """Start from the uniform policy, or a random one.

        Raises:
            SolverError: the view is that of a player and not of the planner.
        """
        _planner(view)
        probs = view.uniform().probs.contiguous()
        logs = probs.log()
        seeds = self.varied.seeds(self.config)
        if any(seeds):
            spread = torch.stack([_spread(probs, seed) for seed in seeds])
            logs = torch.log_softmax(logs + spread, -1)
            probs = logs.exp()
        rate = probs.new_full((len(probs),), FIRST_RATE)
        return Climbing(0, probs, logs, logs.clone(), torch.ones_like(rate), rate)

    def step(self, evaluation: Evaluation, state: Climbing) -> Climbing:
        """One step of every game, each at its own rate."""
        view, here = _planner(evaluation.view), state.log_probs
        pace = (1 + (1 + 4 * state.pace**2).sqrt()) / 2
        ahead = _moved(here, here - state.before, (state.pace - 1) / pace)
        there = Evaluation(view, view.policy(ahead.exp()))
        logs, value, slope, rate = _climbed(view, there, ahead, state.rate * GROWTH)
        noise = _rounding(there)
        kept = value >= evaluation.value - noise
        logs = torch.where(kept[:, None, None, None], logs, here)
        back = slope(logs.exp() - state.probs) < 0
        pace = torch.where(kept & ~back, pace, 1.0)
        before = torch.where(kept[:, None, None, None], here, logs)
        return Climbing(state.iteration + 1, logs.exp(), logs, before, pace, rate)


def _spread(probs: Tensor, seed: int) -> Float[Tensor, "stages states actions"]:
    """What to add to the logarithms of a policy of one game: Gumbel draws, nothing for seed 0."""
    if seed == 0:
        return torch.zeros_like(probs[0])
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(probs.shape[1:], generator=generator, dtype=torch.float64)
    return (-(-draws.clamp(min=1e-12).log()).log()).to(probs)


Slope = Callable[[Tensor], Tensor]


def _climbed(
    view: SocialView, there: Evaluation, logs: Tensor, rate: Tensor
) -> tuple[Tensor, Tensor, Slope, Tensor]:
    """A step from a policy along its gradient: where it ends, the value there, the slope of J at
    its beginning along any change, and the rates.
    """
    probs, advantage, noise = logs.exp(), _advantage(there), _rounding(there)

    def slope(change: Tensor) -> Tensor:
        return _first_order(view, there.flow.laws, change, advantage)

    rate = rate.clamp(max=MOST_RATE)
    for _ in range(MOST_TRIALS):
        found = _moved(logs, advantage, rate)
        change = found.exp() - probs
        hoped = slope(change)
        value = earnings(view.game, view.game.flow(view.policy(found.exp()))).sum(-1)
        fits = value - there.value >= SUFFICIENT * hoped
        small = hoped < noise
        if (~fits & small).any():
            end = Evaluation(view, view.policy(found.exp()))
            turned = _first_order(view, end.flow.laws, change, _advantage(end))
            fits |= small & (turned >= -TURNED * hoped)
        if fits.all():
            break
        rate = torch.where(fits, rate, rate * SHRINKAGE)
    return found, value, slope, rate


def _moved(logs: Tensor, change: Tensor, weight: Tensor) -> Tensor:
    """Logarithms plus weight * change, normalised; illegal actions stay at minus infinity."""
    change = change.masked_fill(logs == -torch.inf, 0)
    return torch.log_softmax(logs + weight[:, None, None, None] * change, -1)


def _planner(view: View) -> SocialView:
    if not isinstance(view, SocialView):
        raise SolverError("the social value is seen by a planner: use `SocialView`")
    return view


def _advantage(evaluation: Evaluation) -> Tensor:
    """What an action adds to the social value beside what the policy does, 0 where illegal."""
    q = evaluation.q.masked_fill(evaluation.q == -torch.inf, 0)
    return q - (evaluation.policy.probs * q).sum(-1, keepdim=True)


def _first_order(
    view: SocialView, flow: Tensor, change: Tensor, advantage: Tensor
) -> Float[Tensor, " batch"]:
    """<dJ/dpi, change> at the laws of a flow."""
    laws = flow[:, :-1]
    stages = torch.arange(laws.shape[1], dtype=laws.dtype, device=laws.device)
    weights = torch.pow(torch.as_tensor(view.game.discount).to(laws), stages)
    gained = (change * advantage).sum(-1)
    return len(view.program.populations) * torch.einsum("t,bts,bts->b", weights, laws, gained)


def _rounding(evaluation: Evaluation) -> Float[Tensor, " batch"]:
    """Gains below this are lost in the difference of two social values."""
    problem = evaluation.flow.problem
    assert problem is not None
    largest = problem.rewards.abs().amax((0, 1, 2))
    return ROUNDING * torch.finfo(largest.dtype).eps * len(problem.rewards) * (1 + largest)
