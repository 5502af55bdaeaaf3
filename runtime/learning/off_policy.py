"""The off-policy learner of the paper's experiments: one local actor, a critic of all agents.

Deterministic policy gradients through a critic of joint observations and actions (MADDPG, Lowe et
al. 2017, arXiv:1706.02275), with PIC's details (Liu et al. 2019, arXiv:1911.00025), which is what
Li et al. 2021 (arXiv:2105.08268) ran: their experiments have neither PPO nor their algorithms. All
agents share an actor that sees own and common values and neighbours; finite choices, and reals in
[0, 1] that add up to one, are explored by Gumbel noise on the logits (Jang et al. 2017,
arXiv:1611.01144).
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.learning.base import (
    Lesson,
    LessonError,
    rate_at,
    restore_optimizer,
    saved_optimizer,
)
from mfdsl.runtime.learning.engine import counted, team_reward
from mfdsl.runtime.learning.local_actor import LocalActor, LocalPolicy
from mfdsl.runtime.learning.replay import Replay, Transitions
from mfdsl.runtime.learning.set_critics import SetCritic, sized
from mfdsl.runtime.learning.table import MaddpgConfig

GRADIENT_NORM = 0.5
LOGITS = 1e-3  # weight of squared logits in the actor's loss
UPDATES_AFTER = 100  # environment steps that `updates` are counted for


@dataclass(frozen=True, eq=False)
class Networks:
    """The actor and the critic with what their targets are."""

    actor: LocalActor
    critic: SetCritic
    target_actor: LocalActor
    target_critic: SetCritic


def critic_loss(networks: Networks, seen: Transitions, discount: float, online: bool) -> Tensor:
    """Mean squared temporal difference; the game is valued as if it went on after each step."""
    with torch.no_grad():
        actor = networks.actor if online else networks.target_actor
        after = actor.chosen(actor.net(seen.after))
        ahead = networks.target_critic(seen.after, after)
        goal = (seen.rewards[:, None] if ahead.ndim > 1 else seen.rewards) + discount * ahead
    value: Tensor = networks.critic(seen.observations, seen.actions)
    loss: Tensor = (value - goal).square().mean()
    return loss


def actor_loss(networks: Networks, seen: Transitions) -> Tensor:
    """Minus the critic's value of what the actor would do, and a little for large logits."""
    logits: Tensor = networks.actor.net(seen.observations)
    value: Tensor = networks.critic(seen.observations, networks.actor.chosen(logits))
    return LOGITS * logits.square().mean() - value.mean()


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, share: float) -> None:
    """Move the parameters of a target towards those of its source."""
    for old, new in zip(target.parameters(), source.parameters(), strict=True):
        old.lerp_(new, share)


class OffPolicy:
    """The learner behind `maddpg`: a game of one population that acts, and no one else does.

    Raises:
        LessonError: the game is none for the actor, or the replay never fills a batch.
        ValueError: no critic has about so many parameters.
    """

    def __init__(self, config: MaddpgConfig, lesson: Lesson) -> None:
        if config.replay < max(config.batch, config.games):
            raise LessonError(
                f"a replay of {config.replay} scenes never holds a batch of {config.batch} or a"
                f" step of {config.games} games",
                "a larger `replay`, or a smaller `batch`",
            )
        self.config, self.lesson = config, lesson
        self.engine = lesson.engine(config, config.discount)
        simulator = self.engine.simulator
        unit = simulator.params.unit
        actor, target = (_actor(lesson, config).to(unit) for _ in range(2))
        actor.calibrate(simulator.params, simulator.time(0), simulator.reset(0), simulator.batch)
        self.agents = simulator.agents[actor.sight.player]
        shape = (actor.width, actor.choices, self.agents)
        target.load_state_dict(actor.state_dict())
        critic = sized(config.critic, *shape, config.parameters).to(unit)
        self.networks = Networks(actor, critic, target, copy.deepcopy(critic))
        self.replay = Replay(config.replay, *shape, unit)
        self.due = 0.0
        self.actor_optimizer = torch.optim.Adam(actor.parameters(), config.learning_rate)
        self.critic_optimizer = torch.optim.Adam(critic.parameters(), config.learning_rate)

    @property
    def policy(self) -> nn.Module:
        """The network that plays."""
        return self.networks.actor

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays now; with `noisy` always at random."""
        return LocalPolicy(self.networks.actor, not mode or self.config.noisy)

    def step(self, iteration: int) -> Mapping[str, float]:
        """Play an episode in every game, then update as often as its steps allow."""
        rate = rate_at(self.config, iteration, self.lesson.iterations)
        for optimizer in (self.actor_optimizer, self.critic_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate
        found = {"return": self._played(iteration + 1)}
        if self.replay.count < self.config.batch:
            return found
        self.due += self.config.updates * self.engine.batch * self.engine.steps / UPDATES_AFTER
        seed = self.lesson.seed * 1_000_003 + iteration
        generator = torch.Generator().manual_seed(seed)
        count = int(self.due)
        self.due -= count
        if iteration >= self.config.critic_first:
            found["actor_loss"] = _mean([self._update_actor(generator) for _ in range(count)])
        losses = [self._update_critic(generator) for _ in range(count)]
        return found | {"critic_loss": _mean(losses)}

    def _played(self, episode: int) -> float:
        """Play and keep one episode of each game; the mean return."""
        actor, noisy = self.networks.actor, LocalPolicy(self.networks.actor, True)
        seen: list[Tensor] = []
        acted: list[Tensor] = []
        paid: list[Tensor] = []

        @torch.no_grad()
        def act(scene: Scene, number: int) -> Any:
            observations = actor.observed(scene)
            choice = noisy.choice(scene, observations, number)
            seen.append(observations)
            acted.append(choice)
            return actor.action(scene, choice)

        for turn in self.engine.turns(episode, act):
            due = self.engine.paid(turn)
            if due is not None:
                paid.append(team_reward(due, self.engine.batch))
            if turn.rewards is None:
                with torch.no_grad():
                    seen.append(actor.observed(turn.scene))
        total = counted(self.engine, paid).mean().item()
        late = self.config.paid == "arrival"
        scale = 1 / self.agents if self.config.per_agent else 1.0
        for t, reward in enumerate(paid[late : late + len(acted)]):
            self.replay.add(Transitions(seen[t], acted[t], scale * reward, seen[t + 1]))
        return total

    def _update_actor(self, generator: torch.Generator) -> Tensor:
        networks, share = self.networks, self.config.soft
        loss = actor_loss(networks, self.replay.sample(self.config.batch, generator))
        _descend(loss, networks.actor, self.actor_optimizer)
        follow(networks.target_actor, networks.actor, share)
        if self.config.double_target:
            follow(networks.target_critic, networks.critic, share)
        return loss.detach()

    def _update_critic(self, generator: torch.Generator) -> Tensor:
        networks, config = self.networks, self.config
        seen = self.replay.sample(config.batch, generator)
        loss = critic_loss(networks, seen, config.discount, config.online_target)
        _descend(loss, networks.critic, self.critic_optimizer)
        follow(networks.target_critic, networks.critic, config.soft)
        return loss.detach()

    def extend(self, iterations: int) -> None:
        """Let the course be as long as this, by which rates fall."""
        self.lesson = replace(self.lesson, iterations=iterations)

    def state(self) -> dict[str, Tensor]:
        """Networks, targets, optimizers and all scenes that are kept."""
        found = {
            f"{name}.{k}": v
            for name, module in vars(self.networks).items()
            for k, v in module.state_dict().items()
        }
        for name, optimizer in self._optimizers():
            found |= {f"{name}.{k}": v for k, v in saved_optimizer(optimizer).items()}
        found |= {f"replay.{k}": v for k, v in self.replay.state().items()}
        return found | {"due": torch.tensor(self.due, dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        for name, module in vars(self.networks).items():
            module.load_state_dict(_part(state, f"{name}."))
        for name, optimizer in self._optimizers():
            restore_optimizer(optimizer, _part(state, f"{name}."))
        self.replay.restore(_part(state, "replay."))
        self.due = float(state["due"])

    def _optimizers(self) -> tuple[tuple[str, torch.optim.Optimizer], ...]:
        return ("adam_actor", self.actor_optimizer), ("adam_critic", self.critic_optimizer)


def _actor(lesson: Lesson, config: MaddpgConfig) -> LocalActor:
    hide = tuple(config.hide.split())
    try:
        return LocalActor(lesson.program, config.hidden, config.layers, config.nearest, hide)
    except ValueError as error:
        raise LessonError(str(error), "`--solver mf_ppo` learns in any team") from None


def _descend(loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """One step for one module: gradients of others are dropped."""
    parameters = list(module.parameters())
    slopes = torch.autograd.grad(loss, parameters)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = slope
    nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
    optimizer.step()


def _mean(losses: list[Tensor]) -> float:
    """The mean of losses, 0 of none; they are read together, for a GPU is waited for then."""
    return math.fsum(torch.stack(losses).tolist()) / len(losses) if losses else 0.0


def _part(state: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
