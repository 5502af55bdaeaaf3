"""Policy mirror descent of every agent by itself: the baseline of the symmetric one."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.memory import gibibytes, memory_of
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.episodes import Crowd, play
from mfdsl.runtime.solvers.followed import alone
from mfdsl.runtime.solvers.sampled_options import SampledConfig
from mfdsl.runtime.solvers.sampled_values import averaged_values
from mfdsl.runtime.solvers.symmetric_mirror_descent import (
    Learned,
    share_of_next,
    tilted,
    values_before,
)

COPIES = 10  # tables of all agents that an iteration holds at once


@dataclass(frozen=True, eq=False)
class LearnedAlone(Learned):
    """`kept` are the policies that each agent returns: the one played, or the mean of its own."""

    kept: Float[Tensor, "agents stages states actions"]


@dataclass(frozen=True)
class IndependentMirrorDescent:
    """The mirror step of `symm_pmd` for every agent alone, on values of its own trajectories.

    Nothing is shared: N tables instead of one, and N times fewer visits for each entry. `probs` is
    the policy of the mean agent, the mean of all by where they are; its exploitability is the mean
    of what single agents gain by a best response. With `output = average` everybody returns the
    mean of its own policies. The baseline IPMD of Yardim and He 2025
    (arXiv 2408.15173).

    Raises:
        SolverError: more than one population acts, or all tables do not fit into memory.
    """

    config: SampledConfig
    crowd: Crowd

    def __post_init__(self) -> None:
        acting, name = self.crowd.acting, self.crowd.program.name
        if len(acting) > 1:
            why = f"in {name} there are {', '.join(acting)}"
        elif self.crowd.reduced.past is not None:
            why = f"what happens to all in {name} moves on by itself"
        else:
            return
        raise SolverError(
            f"independent_pmd is for one population without majors or common states, and {why}: "
            "take symm_pmd"
        )

    def init(self, view: View) -> LearnedAlone:
        """Everybody starts from the uniform policy and zero values."""
        probs = view.uniform().probs.contiguous()
        (number,) = self.crowd.simulator(1, self.config.agents or None).agents.values()
        needed, held = (
            COPIES * number * probs.numel() * probs.element_size(),
            memory_of(probs.device),
        )
        if needed > held:
            raise SolverError(
                f"tables of {number:,} agents need {gibibytes(needed)}, there are "
                f"{gibibytes(held)}: symm_pmd has one for all"
            )
        played = probs.expand(number, *probs.shape[1:]).contiguous()
        return LearnedAlone(0, probs, played, torch.zeros_like(played), played.clone())

    def step(self, evaluation: Evaluation, state: LearnedAlone) -> LearnedAlone:
        """Play, and let everybody learn from its own games."""
        config, crowd, played = self.config, self.crowd, state.played
        simulator = crowd.simulator(config.games, config.agents or None)
        who = torch.arange(len(played), device=played.device)
        episodes = play(crowd, simulator, alone(played), state.iteration)
        found = averaged_values(
            episodes,
            played,
            who,
            values_before(config, state),
            temperature=config.temperature,
            discount=crowd.program.discount,
        )
        after = tilted(config, state.iteration, played, found.q, evaluation.view)
        kept = torch.lerp(state.kept, after, share_of_next(config, state.iteration))
        mean = mean_agent(evaluation.view, kept).contiguous()
        return LearnedAlone(state.iteration + 1, mean, after, found.q, kept)


def mean_agent(
    view: View, policies: Float[Tensor, "agents stages states actions"]
) -> Float[Tensor, "1 stages states actions"]:
    """The policy under which one agent is distributed as the mean over agents of their laws.

    The mean weighs policies by how likely their agents are in a state, which depends on the law of
    all; since stage t reads earlier ones only, one more stage is exact after each pass.
    """
    every = inner(policies)  # [stages, actions, states, agents]
    mean = policies.mean(0, keepdim=True)
    for _ in range(len(every) + 1):
        flow = view.flow(view.policy(mean))
        assert flow.problem is not None
        law = flow.laws[0, 0][:, None].expand(-1, every.shape[-1]).contiguous()
        weighed = torch.empty_like(every[..., :1])
        for t, share in enumerate(every):
            joint = law * share
            reached = law.sum(-1) > 0
            weighed[t, ..., 0] = torch.where(
                reached,
                joint.sum(-1) / law.sum(-1).clamp(min=torch.finfo(law.dtype).tiny),
                share.mean(-1),
            )
            after = torch.empty_like(law)
            flow.problem.kernels[t].push(joint.reshape(-1, joint.shape[-1]), after)
            law = after
        found = outer(weighed)
        if torch.equal(found, mean):
            break
        mean = found
    return mean
