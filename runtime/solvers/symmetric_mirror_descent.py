"""Policy mirror descent of one policy for all agents, learned from their games."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.base import SolverError, State
from mfdsl.runtime.solvers.episodes import Crowd, Episodes, play
from mfdsl.runtime.solvers.followed import shared
from mfdsl.runtime.solvers.sampled_options import SampledConfig, SymmetricMirrorDescentConfig
from mfdsl.runtime.solvers.sampled_values import averaged_values, online_values


@dataclass(frozen=True, eq=False)
class Learned(State):
    """`played` are the policies of the groups of agents at this iteration, `q` their last values.

    `probs` is the policy that is returned: the one played, or the mean of all so far.
    """

    played: Float[Tensor, "groups stages states actions"]
    q: Float[Tensor, "groups stages states actions"]


@dataclass(frozen=True)
class SymmetricMirrorDescent:
    """pi_{k+1} = (1 - w) softmax((1 - temperature * rate) log pi_k + rate * q_k) + w uniform.

    q_k are the values of pi_k with entropy paid, estimated from games in which all N agents play
    pi_k; agents see their own states, actions and rewards and nothing of the law. The rate is
    learning_rate / (k + 1)^decay, the weight w of the uniform policy the larger of `floor` and
    exploration / (k + 1).

    Algorithm 2 of Yardim and He 2025 (arXiv 2408.15173), which returns the mean of all policies
    and learns from one agent (`output = average`, `seen = one`, `values = online`), whose values
    begin at 0 in each iteration (`unvisited = zero`). Its last iterate is near the regularised
    equilibrium of the induced game, up to alpha, beta and 1 / sqrt(N), when that game is monotone
    and moves do not read the law.

    Raises:
        SolverError: one agent is to be learned from, and several kinds of players act.
    """

    config: SymmetricMirrorDescentConfig
    crowd: Crowd

    def __post_init__(self) -> None:
        if self.config.seen == "one" and len(self.crowd.acting) > 1:
            raise SolverError(
                "the trajectories of one agent say nothing of other players, and in "
                f"{self.crowd.program.name} there are {', '.join(self.crowd.acting)}: "
                "take `seen = all`"
            )

    def init(self, view: View) -> Learned:
        """Start from the uniform policy and zero values."""
        probs = view.uniform().probs.contiguous()
        return Learned(0, probs, probs.clone(), torch.zeros_like(probs))

    def step(self, evaluation: Evaluation, state: Learned) -> Learned:
        """Play, estimate the values of what was played, and tilt towards better actions."""
        config, crowd = self.config, self.crowd
        simulator = crowd.simulator(config.games, config.agents or None)
        episodes = play(crowd, simulator, shared(state.played[0]), state.iteration)
        if config.seen == "one":
            episodes = first_agent(episodes)
        estimate = averaged_values if config.values == "average" else online_values
        found = estimate(
            episodes,
            state.played,
            torch.zeros(episodes.places.shape[2], dtype=torch.int64, device=state.played.device),
            values_before(config, state),
            temperature=config.temperature,
            discount=crowd.program.discount,
        )
        played = tilted(config, state.iteration, state.played, found.q, evaluation.view)
        probs = torch.lerp(state.probs, played, share_of_next(config, state.iteration))
        return Learned(state.iteration + 1, probs, played, found.q)


def values_before(config: SampledConfig, state: Learned) -> Tensor:
    """What stands in the tables before an iteration is learned from, and after it where nobody was.

    Algorithm 1 begins at 0 in each iteration. Whoever visits few entries of its own table in one
    iteration, as agents who are alone, does better with the values of earlier ones.
    """
    return state.q if config.unvisited == "kept" else torch.zeros_like(state.q)


def share_of_next(config: SampledConfig, iteration: int) -> float:
    """The weight of the policy after an iteration in what is returned: 1 until the mean begins.

    A mean over all iterations has the uniform policy, too, from which learning starts.
    """
    if config.output == "last":
        return 1.0
    return 1 / max(1, iteration + 2 - config.since)


def tilted(config: SampledConfig, iteration: int, played: Tensor, q: Tensor, view: View) -> Tensor:
    """The next policies: a mirror step with entropy paid, and some of the uniform policy."""
    uniform = view.uniform().probs
    rate = config.learning_rate / (iteration + 1) ** config.decay
    logs = played.clamp(min=torch.finfo(played.dtype).tiny).log()
    scores = (1 - config.temperature * rate) * logs + rate * q
    sharp = softmax_probs(scores.masked_fill(uniform == 0, -torch.inf))
    weight = max(config.floor, config.exploration / (iteration + 2))
    # contiguous, as in a file: a resumed run adds in the same order
    return torch.lerp(sharp, uniform.expand_as(sharp), weight).contiguous()


def first_agent(episodes: Episodes) -> Episodes:
    """The trajectories of the first agent only."""
    return Episodes(
        episodes.places[:, :, :1],
        episodes.actions[:, :, :1],
        episodes.rewards[:, :, :1],
        episodes.final[:, :1],
    )
