"""Mean-field Q-learning and actor-critic (Yang et al. 2018, arXiv:1802.05438), as baselines.

Everybody learns Q(s, a, mean), its own value of an action while the others do `mean` on average:
Q(s, a, mean) <- r + discount * sum_a' pi(a' | s', mean) Q(s', a', mean), from a replay of all
agents. `mf_q` plays softmax(Q(s, ., mean of a step ago) / temperature), the Boltzmann policy whose
fixed points are m = tanh(x m) in the Ising game. `mf_ac` has a policy of s alone and follows the
gradient of sum_a pi(a | s) Q(s, a, mean) + temperature * entropy, with the sum over own actions
taken exactly. Both share networks between agents.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.base import (
    Lesson,
    LessonError,
    rate_at,
    restore_optimizer,
    saved_optimizer,
)
from mfdsl.runtime.learning.credit import own_rewards
from mfdsl.runtime.learning.engine import counted, team_reward
from mfdsl.runtime.learning.gaps import exact_gap, tables_for
from mfdsl.runtime.learning.mean_action import (
    MeanFieldNetwork,
    MeanFieldPolicy,
    Watcher,
    limit_chances,
)
from mfdsl.runtime.learning.mean_field_update import Steps, set_slopes
from mfdsl.runtime.learning.off_policy import follow
from mfdsl.runtime.learning.table import MeanFieldConfig
from mfdsl.runtime.memory import gibibytes, memory_of

GRADIENT_NORM = 1.0


class MeanFieldLearner:
    """The learner behind `mf_q` and `mf_ac`.

    Raises:
        LessonError: the game is none of one population with one finite action, or the replay
            does not fit into memory.
    """

    def __init__(self, config: MeanFieldConfig, lesson: Lesson, acts: bool) -> None:
        self.config, self.lesson = config, lesson
        self.engine = lesson.engine(config, config.discount or None)
        simulator = self.engine.simulator
        self.unit = simulator.params.unit
        try:
            watcher = Watcher(lesson.program, tuple(config.hide.split()))
        except ValueError as error:
            raise LessonError(str(error), "`--solver ppo_nash` learns in any game") from None
        self.network, self.target = (
            MeanFieldNetwork(watcher, config.hidden, config.layers, acts).to(self.unit)
            for _ in range(2)
        )
        watcher.calibrate(simulator.scene(0, simulator.reset(0)))
        self.target.load_state_dict(self.network.state_dict())
        self.agents = simulator.agents[watcher.sight.player]
        self._check_room(watcher)
        self.kept: Steps | None = None
        self.next = 0  # the oldest of those kept, where there is no room for more
        self.parameters = list(self.network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, config.learning_rate, fused=True)

    def _check_room(self, watcher: Watcher) -> None:
        numbers = self.agents * (2 * watcher.width + watcher.choices + 2)
        needed = 2 * self.config.replay * numbers * self.unit.element_size()
        held = memory_of(self.unit.device)
        if needed > held:
            raise LessonError(
                f"a replay of {self.config.replay:,} scenes of {self.agents:,} agents needs"
                f" {gibibytes(needed)}, there are {gibibytes(held)}",
                "a smaller `replay`, or fewer `agents`",
            )

    @property
    def policy(self) -> nn.Module:
        """The networks that play."""
        return self.network

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays now; chances are drawn from in any case."""
        return MeanFieldPolicy(self.network)

    def step(self, iteration: int) -> Mapping[str, float]:
        """Play an episode in every game, then fit values (and the policy) to what is kept."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(config, iteration, self.lesson.iterations)
        share = min(1.0, 2 * iteration / max(1, self.lesson.iterations))
        price = config.first_temperature ** (1 - share) * config.temperature**share
        self.network.temperature.fill_(price)
        self.target.temperature.fill_(price)
        value = self._played(iteration + 1)
        generator = torch.Generator().manual_seed(self.lesson.seed * 1_000_003 + iteration)
        losses = torch.zeros(2)
        for _ in range(config.updates):
            losses += self._update(generator)
            follow(self.target, self.network, config.soft)
        fit, gain = (losses / config.updates).tolist()
        return {"return": value, "value_loss": fit, "policy_loss": gain, "temperature": price}

    def _played(self, episode: int) -> float:
        """Play and keep one episode of each game; the mean return."""
        engine, policy = self.engine, MeanFieldPolicy(self.network)
        watcher = self.network.watcher
        seen: list[Tensor] = []
        done: list[tuple[Tensor, Tensor]] = []
        paid: list[Tensor] = []
        team: list[Tensor] = []

        def act(scene: object, number: int) -> object:
            observed, index, mean = policy.chosen(scene, number)  # type: ignore[arg-type]
            seen.append(observed)
            done.append((index, mean))
            return watcher.action(index)

        horizon = self.lesson.program.horizon
        for turn in engine.turns(episode, act):
            due = engine.paid(turn)
            if turn.rewards is None:
                with torch.no_grad():
                    seen.append(watcher.observed(turn.scene))
            if due is None:
                continue
            team.append(team_reward(due, engine.batch))
            own = own_rewards(due, self.lesson.program, engine.batch, turn.scene.agents)
            share = own[watcher.sight.field]
            if turn.rewards is None:  # what the end pays belongs to the last step
                paid[-1] = paid[-1] + engine.discount * share
            else:
                paid.append(share)
        index, mean = (torch.cat(part) for part in zip(*done, strict=True))
        going = torch.ones(len(done), engine.batch).to(mean)
        if engine.steps == horizon:
            going[-1] = 0
        before, after = torch.cat(seen[:-1]), torch.cat(seen[1:])
        self._keep(Steps(before, index, mean, torch.cat(paid).to(mean), after, going.flatten()))
        return counted(engine, team).mean().item()

    def _keep(self, new: Steps) -> None:
        """Keep some more; where there is no room they take the place of the oldest."""
        old, room = self.kept, self.config.replay
        last = {name: value[-room:] for name, value in vars(new).items()}
        if old is None or len(old.going) < room:
            before = {name: value[:0] for name, value in last.items()} if old is None else vars(old)
            joined = {k: torch.cat([before[k], value])[-room:] for k, value in last.items()}
            self.kept, self.next = Steps(**joined), 0
            return
        count = len(last["going"])
        places = (self.next + torch.arange(count, device=new.going.device)) % room
        for name, value in last.items():
            getattr(old, name)[places] = value
        self.next = (self.next + count) % room

    def _update(self, generator: torch.Generator) -> Tensor:
        kept, config = self.kept, self.config
        assert kept is not None
        scenes = torch.randint(len(kept.going), (config.batch, 1), generator=generator)
        agents = torch.randint(self.agents, (config.batch, config.members), generator=generator)
        rows = (part.flatten().to(kept.going.device) for part in (scenes.expand_as(agents), agents))
        losses = set_slopes(self.network, self.target, kept.some(*rows), self.engine.discount)
        nn.utils.clip_grad_norm_(self.parameters, GRADIENT_NORM)
        self.optimizer.step()
        return losses.cpu().float()

    def gap(self) -> Exploitability | None:
        """What one agent gains in the limit, by tables where the game has some over a finite
        horizon without common states.
        """
        tables = tables_for(self.lesson)
        if tables is None or tables.reduced.past is not None or tables.tables.kind != "finite":
            return None
        return exact_gap(self.lesson, limit_chances(self.network))

    def extend(self, iterations: int) -> None:
        """Let the course be as long as this, by which rates fall."""
        self.lesson = replace(self.lesson, iterations=iterations)

    def state(self) -> dict[str, Tensor]:
        """Networks, targets, optimizer, and the steps that are kept."""
        found = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        found |= {f"target.{k}": v for k, v in self.target.state_dict().items()}
        if self.kept is not None:
            found |= {f"kept.{k}": v.clone() for k, v in vars(self.kept).items()}
            found["next"] = torch.tensor(self.next)
        return found | saved_optimizer(self.optimizer)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved tensors."""
        self.network.load_state_dict(_part(state, "network."))
        self.target.load_state_dict(_part(state, "target."))
        kept = _part(state, "kept.")
        self.kept = Steps(**{k: v.clone() for k, v in kept.items()}) if kept else None
        # runs before this entry was saved have the oldest first
        self.next = int(state.get("next", 0))
        restore_optimizer(self.optimizer, state)


def mean_field_q(config: MeanFieldConfig, lesson: Lesson) -> MeanFieldLearner:
    """The learner behind `mf_q`: a Boltzmann policy of Q and of what the others did."""
    return MeanFieldLearner(config, lesson, acts=False)


def mean_field_actor_critic(config: MeanFieldConfig, lesson: Lesson) -> MeanFieldLearner:
    """The learner behind `mf_ac`: a policy of its own that climbs Q."""
    return MeanFieldLearner(config, lesson, acts=True)


def _part(state: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
