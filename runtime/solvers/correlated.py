"""Coarse correlated equilibria of games whose moves do not read the law: mixtures of policies.

One of the policies pi_k is drawn with probability rho_k and recommended to everybody. Nobody gains
by a policy of one's own that was chosen before the draw when

    max over pi' of sum over k of rho_k (J(pi', mu_k) - J(pi_k, mu_k)), mu_k the flow of pi_k,

the coarse gap, is at most 0: a coarse correlated equilibrium (Campi and Fischer 2022, arXiv
2004.08351; Muller, Elie, Rowland, Lauriere, Perolat, Perrin, Geist, Piliouras, Pietquin and Tuyls
2022, arXiv 2208.10138); below 0 everybody loses by leaving. Whoever sees the recommendation first
gains the mean of the exploitabilities instead, the gap of a correlated equilibrium. As moves do not
read the law, J(pi', mu) is linear in the flow of pi', and the best pi' is one best response to the
mean of the rewards: the gap is exact.

No-regret play makes the gap of its history vanish in every such game, monotone or not (Hazan 2016,
arXiv 1909.05207): mirror descent on values. The weights rho are then chosen by a linear program
over the history, to which the best deviations are added, as constraints and as policies, until none
gains more than the program says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.policy import TabularPolicy, greedy_probs, softmax_probs
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.views.finite import FiniteView, reads_law

NEGLIGIBLE = 1e-9  # weights below are left out
MOST_DEVIATIONS = 300
PATIENCE = 20


@dataclass(frozen=True, eq=False)
class Mixture:
    """Policies [K, T, S, A] with weights [K], the same draw for everybody.

    `coarse_gap` is what one gains at most without, `gap` with sight of the recommendation; `value`
    is what one earns by following. Several populations are summed. `regret` is the coarse gap of
    the history with equal weights.
    """

    policies: Float[Tensor, "policies stages states actions"] = field(repr=False)
    weights: Float[Tensor, " policies"]
    coarse_gap: float
    gap: float
    value: float
    regret: float
    iterations: int

    def drawn(self, seed: int, draws: int) -> Tensor:
        """Places of the recommended policies in so many games."""
        generator = torch.Generator().manual_seed(seed)
        return torch.multinomial(self.weights, draws, replacement=True, generator=generator)


@dataclass(frozen=True, eq=False)
class _History:
    """Policies, their flows, what is paid along these (discounted, with the end), values, gaps."""

    probs: list[Tensor]
    flows: list[Tensor]
    paid: list[Tensor]
    values: list[float]
    gaps: list[float]


def coarse_correlated(
    program: Program,
    params: Params | None = None,
    *,
    iterations: int = 100,
    tolerance: float = 1e-6,
    rate: float = 1.0,
    temperature: float = 1.0,
    stop: Callable[[], bool] = lambda: False,
) -> Mixture:
    """A mixture of iterates of mirror descent with the least coarse gap, for one game.

    The step at iteration k is rate / sqrt(k + 1).

    Raises:
        SolverError: the horizon is stationary, moves read the law, or there is a batch of games.
    """
    if program.kind == "stationary":
        raise SolverError(f"a mixture needs stages, and {program.name} has a stationary horizon")
    view = FiniteView.build(program, params)
    if reads_law(view.tables):
        raise SolverError(
            f"a coarse gap is exact where moves do not read the law; those of {program.name} do"
        )
    if view.tables.games > 1:
        raise SolverError("a mixture is of one game: no sweep")
    with torch.no_grad():
        history = _played(view, iterations, tolerance, rate, temperature, stop)
        made = len(history.probs) - 1
        even = np.full(len(history.probs), 1 / len(history.probs))
        regret = _gap(view, history, even)[0]
        weights, coarse = _weighted(view, history, tolerance)
    kept = weights > NEGLIGIBLE
    share = weights[kept] / weights[kept].sum()
    rows = np.flatnonzero(kept)
    return Mixture(
        torch.cat([history.probs[k] for k in rows]),
        torch.from_numpy(share),
        coarse,
        float(sum(w * history.gaps[k] for w, k in zip(share, rows, strict=True))),
        float(sum(w * history.values[k] for w, k in zip(share, rows, strict=True))),
        regret,
        made,
    )


def coarse_gap(view: FiniteView, policies: Tensor, weights: Tensor) -> float:
    """The coarse gap of any mixture.

    Raises:
        SolverError: moves read the law.
    """
    if reads_law(view.tables):
        raise SolverError("a coarse gap is exact where moves do not read the law")
    history = _History([], [], [], [], [])
    for probs in policies:
        _append(view, history, Evaluation(view, view.policy(probs[None])))
    return _gap(view, history, weights.numpy())[0]


def _played(
    view: FiniteView,
    iterations: int,
    tolerance: float,
    rate: float,
    temperature: float,
    stop: Callable[[], bool],
) -> _History:
    """Mirror descent on values, all that it met; an equilibrium on the way ends it."""
    history = _History([], [], [], [], [])
    probs = view.uniform().probs
    scores = torch.zeros_like(probs)
    for k in range(iterations + 1):
        evaluation = Evaluation(view, view.policy(probs))
        _append(view, history, evaluation)
        if history.gaps[-1] <= tolerance or k == iterations or stop():
            return history
        scores = scores.add(evaluation.q, alpha=rate / (k + 1) ** 0.5)
        probs = softmax_probs(scores, temperature)
    return history


def _append(view: FiniteView, history: _History, evaluation: Evaluation) -> None:
    flow, problem = evaluation.flow, evaluation.flow.problem
    assert problem is not None
    weights = view.discount ** torch.arange(view.stages + 1, dtype=problem.rewards.dtype)
    last = problem.final
    end = torch.zeros_like(problem.rewards[0, 0]) if last is None else last
    rewards = (weights[:-1, None, None, None] * problem.rewards).flatten()
    history.probs.append(evaluation.policy.probs)
    history.flows.append(torch.cat([inner(flow.joint).flatten(), flow.laws[0, -1]]))
    history.paid.append(torch.cat([rewards, weights[-1] * end.flatten()]))
    history.values.append(float(evaluation.value))
    history.gaps.append(float(evaluation.exploitability.value))


def _gap(
    view: FiniteView, history: _History, weights: np.ndarray
) -> tuple[float, Tensor, TabularPolicy]:
    """The gain of the best deviation from a mixture, its flow as a vector like `paid`, and it."""
    paid = torch.stack(history.paid).t() @ torch.from_numpy(weights).to(history.paid[0])
    policy = _response(view, history, paid)
    flow = _occupied(view, policy)
    earned = float(np.dot(weights, history.values))
    return len(view.program.populations) * float(flow @ paid) - earned, flow, policy


def _response(view: FiniteView, history: _History, paid: Tensor) -> TabularPolicy:
    """The best response to rewards that are a mean over flows."""
    plain: Flow = view.flow(view.policy(history.probs[0]))
    problem = plain.problem
    assert problem is not None
    size = problem.rewards.numel()
    stages = torch.arange(view.stages + 1, dtype=paid.dtype)
    weights = view.discount**stages
    rewards = paid[:size].view(problem.rewards.shape) / weights[:-1, None, None, None]
    final = (paid[size:] / weights[-1]).view(problem.rewards.shape[-2:])
    mean = replace(plain, problem=replace(problem, rewards=rewards, final=final))
    return view.policy(greedy_probs(view.q_values(mean), "first"))


def _occupied(view: FiniteView, policy: TabularPolicy) -> Tensor:
    """Laws of state and action at all stages and the last law of states, as one vector."""
    laws = view.laws(policy)
    joint = inner(laws[:, :-1, :, None] * policy.probs)
    return torch.cat([joint.flatten(), laws[0, -1]])


def _weighted(view: FiniteView, history: _History, tolerance: float) -> tuple[np.ndarray, float]:
    """The weights of the least coarse gap, by a linear program that grows.

    The best deviation from the weights is one more constraint. It is also one more policy to
    recommend, as is the one whose flow is the mean of all that are recommended.
    """
    weights = np.full(len(history.probs), 1 / len(history.probs))
    best, since = (weights, np.inf), 0
    deviations: list[Tensor] = []
    for _ in range(MOST_DEVIATIONS):
        gap, flow, policy = _gap(view, history, weights)
        since = 0 if gap < best[1] - tolerance / 10 else since + 1
        best = (weights, gap) if gap < best[1] else best
        if gap <= tolerance or since > PATIENCE:
            break
        deviations.append(flow)
        joint = torch.stack(history.flows).t() @ torch.from_numpy(weights).to(flow)
        for probs in (policy.probs, _conditioned(view, joint)):
            _append(view, history, Evaluation(view, view.policy(probs)))
        values = torch.tensor(history.values, dtype=flow.dtype)
        gains = torch.stack(deviations) @ torch.stack(history.paid).t()
        gains = len(view.program.populations) * gains - values
        weights = _program(gains.numpy())
    weights = np.append(best[0], np.zeros(len(history.probs) - len(best[0])))
    return weights, best[1]


def _conditioned(view: FiniteView, flow: Tensor) -> Tensor:
    """The policy of a mean of flows, which is a flow as moves do not read the law."""
    uniform = inner(view.uniform().probs)
    mass = flow[: uniform.numel()].view(uniform.shape)
    total = mass.sum(1, keepdim=True)
    return outer((mass / total).where(total > 0, uniform))


def _program(gains: np.ndarray) -> np.ndarray:
    """The weights that make the largest of the gains least."""
    rows, count = gains.shape
    found = linprog(
        np.append(np.zeros(count), 1.0),
        A_ub=np.hstack([gains, -np.ones((rows, 1))]),
        b_ub=np.zeros(rows),
        A_eq=np.append(np.ones(count), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * count + [(None, None)],
        method="highs",
    )
    if found.x is None:
        raise SolverError(f"the linear program of the weights failed: {found.message}")
    weights: np.ndarray = np.clip(found.x[:-1], 0, None)
    share: np.ndarray = weights / weights.sum()
    return share
