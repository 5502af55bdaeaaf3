"""Particle swarm on the exploitability: for games where nothing is known and nothing else works."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View, build_view
from mfdsl.runtime.memory import gibibytes, memory_of
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solvers.base import SolverError, State
from mfdsl.runtime.solvers.options import ParticleSwarmConfig
from mfdsl.runtime.solvers.varied import Varied
from mfdsl.runtime.streams import draw
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stage_kernels import KeptKernels
from mfdsl.runtime.views.stationary import StationaryView

# Tables of the swarm at once: positions, velocities, own bests, and five while they are evaluated.
TABLES = 8


@dataclass(frozen=True, eq=False)
class Swarm(State):
    """Logits of all particles, how fast they move, and the best place of each so far.

    `gaps` are the exploitabilities at the places in `own`; `probs` is the best policy of all.
    """

    positions: Float[Tensor, "batch particles stages states actions"]
    velocities: Float[Tensor, "batch particles stages states actions"]
    own: Float[Tensor, "batch particles stages states actions"]
    gaps: Float[Tensor, "batch particles"]


@dataclass(frozen=True)
class ParticleSwarm:
    """v <- inertia v + personal u (own best - x) + social u' (best of all - x), x <- x + v.

    Particles x are logits of policies, kept within `limit`; u and u' are uniform numbers for each
    entry. The first particle starts at the uniform policy, the others around it. All particles of
    all games are one batch, and each iteration evaluates it once. The policy returned is the best
    that any particle has met, so that the exploitability never rises.

    Kennedy and Eberhart 1995, doi 10.1109/ICNN.1995.488968, with the constriction of Clerc and
    Kennedy 2002, doi 10.1109/4235.985692, in the defaults; on exploitability as in Bench-MFG
    (arXiv 2602.12517). It uses no structure at all, so that its need of particles and iterations
    grows quickly with stages * states * actions: a fallback for small games.
    """

    config: ParticleSwarmConfig
    varied: Varied = field(default_factory=Varied)

    def init(self, view: View) -> Swarm:
        """Scatter the particles around the uniform policy.

        Raises:
            SolverError: the swarm does not fit into memory.
        """
        config, start = self.config, view.uniform().probs
        games = max(len(start), self.varied.games)
        needed = TABLES * config.particles * games * start[0].numel() * start.element_size()
        held = memory_of(start.device)
        if needed > held:
            raise SolverError(
                f"{config.particles} particles need {gibibytes(needed)}, there are "
                f"{gibibytes(held)}: take fewer `particles`, or another solver"
            )
        cloud = self._draws("start", start, 0) * config.spread
        velocities = self._draws("velocity", start, 0) * config.spread
        cloud[:, 0] = 0
        positions = cloud.expand(games, *cloud.shape[1:]).contiguous()
        velocities = velocities.expand_as(positions).contiguous()
        gaps = self._gaps(view, positions)
        return self._state(0, view, positions, velocities, positions, gaps)

    def step(self, evaluation: Evaluation, state: Swarm) -> Swarm:
        """Move every particle, evaluate all at once, and keep what is better."""
        config, view = self.config, evaluation.view
        games = torch.arange(len(state.gaps), device=state.gaps.device)
        best = state.own[games, state.gaps.argmin(-1)][:, None]
        like = state.probs
        toward_own = config.personal * self._draws("personal", like, state.iteration + 1)
        toward_best = config.social * self._draws("social", like, state.iteration + 1)
        velocities = config.inertia * state.velocities
        velocities = velocities + toward_own * (state.own - state.positions)
        velocities = velocities + toward_best * (best - state.positions)
        positions = (state.positions + velocities).clamp(-config.limit, config.limit)
        gaps = self._gaps(view, positions)
        better = gaps < state.gaps
        own = positions.where(better[:, :, None, None, None], state.own)
        kept = gaps.where(better, state.gaps)
        return self._state(state.iteration + 1, view, positions, velocities, own, kept)

    def _draws(
        self, name: str, like: Tensor, iteration: int
    ) -> Float[Tensor, "batch particles stages states actions"]:
        """The same for each game of a batch with the same seed, so that a batch is its games."""
        law = "uniform" if name in ("personal", "social") else "normal"
        shape = (self.config.particles, *like.shape[1:])
        found, seeds = {}, self.varied.seeds(self.config)
        for seed in dict.fromkeys(seeds):
            key = (seed, iteration, f"mf_pso.{name}")
            found[seed] = draw((law,), shape, key, dtype=like.dtype, device=like.device)
        return torch.stack([found[seed] for seed in seeds])

    def _gaps(self, view: View, positions: Tensor) -> Float[Tensor, "batch particles"]:
        """Exploitability of every particle; one that is not a number is no best."""
        games, particles = positions.shape[:2]
        crowd = _for_each(view, particles)
        probs = _policies(view, positions).flatten(0, 1)
        together = Evaluation(crowd, crowd.policy(probs))
        gaps = (together.best_value - together.value).view(games, particles)
        return gaps.nan_to_num(nan=torch.inf)

    def _state(
        self,
        iteration: int,
        view: View,
        positions: Tensor,
        velocities: Tensor,
        own: Tensor,
        gaps: Tensor,
    ) -> Swarm:
        games = torch.arange(len(gaps), device=gaps.device)
        best = own[games, gaps.argmin(-1)][:, None]
        probs = _policies(view, best)[:, 0].contiguous()
        return Swarm(iteration, probs, positions, velocities, own, gaps)


def _policies(view: View, logits: Tensor) -> Tensor:
    """Softmax over the legal actions."""
    legal = (view.uniform().probs > 0)[:, None]
    return torch.softmax(logits.masked_fill(~legal, -torch.inf), -1)


def _for_each(view: View, particles: int) -> View:
    """A view in which the parameters of each game stand once for each of its particles.

    Of one game the tables are shared; moves that a view keeps by stage are laid out for its own
    batch, so that they are not kept here.
    """
    assert isinstance(view, FiniteView | StationaryView)
    if view.tables.games == 1:
        return replace(view, kept=KeptKernels()) if isinstance(view, FiniteView) else view
    program = view.program
    return build_view(program, _repeated(program, view.tables.params, particles))


def _repeated(program: Program, params: Params, times: int) -> Params:
    changes = {
        name: getattr(params, name).repeat_interleave(times, 0) for name in program.batched(params)
    }
    repeated: Params = params._replace(**changes)
    return repeated
