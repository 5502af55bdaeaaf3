"""Proximal policy optimisation in games, where everybody follows the gradient of its own return.

Independent PPO (de Witt et al. 2020, arXiv:2011.09533) with the networks of Yardim and He 2025
(arXiv:2408.15173): one for all agents of a population, the same with who one is as an entry, and
one for each agent. Rewards are one's own, values are of oneself, and nobody is credited with what
it does to the law: gradients are of log-chances of own actions only.
"""

import torch
from torch import nn

from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.actor import Shape
from mfdsl.runtime.learning.base import Lesson, LessonError
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.engine import Engine
from mfdsl.runtime.learning.game_gaps import gap_of
from mfdsl.runtime.learning.identity import clip_each
from mfdsl.runtime.learning.policy_gradient import PolicyGradient, look_of, shape_of
from mfdsl.runtime.learning.table import GameConfig


class GamePolicy(PolicyGradient):
    """The learner behind `ppo_nash`."""

    config: GameConfig
    players: Crew

    def __init__(
        self, config: GameConfig, lesson: Lesson, engine: Engine, crew: Crew, shape: Shape
    ) -> None:
        super().__init__(config, lesson, engine, crew, shape)
        if config.network == "individual":
            # an agent that is left out of a sample would still move, by its momentum
            self.members = max(crew.known.values(), default=config.members)
            self.clip = self._clip_each

    def _clip_each(self, most: float) -> None:
        """Clip the gradients of all agents one by one, and those of majors together."""
        critics = self.critics
        assert critics is not None
        own: list[list[nn.Parameter]] = []
        for name in self.players.known:
            modules = self.players.actors[name], critics.parts[name]
            own.append([p for module in modules for p in module.parameters()])
        clip_each(own, most)
        known = {id(p) for group in own for p in group}
        nn.utils.clip_grad_norm_([p for p in self.parameters if id(p) not in known], most)

    def gap(self) -> Exploitability | None:
        """What one agent gains by leaving the policy, as the option `gap` says.

        Networks that know agents one by one are judged by the mean of what these gain.
        """
        return gap_of(self.lesson, self.players, self.config)


def game_policy(config: GameConfig, lesson: Lesson) -> GamePolicy:
    """The learner behind `ppo_nash`: everybody maximises its own return.

    Raises:
        LessonError: training and measurement have different numbers of agents, and networks know
            them one by one, or individual networks are to share the encoder of a law.
    """
    shape, look = shape_of(config), look_of(config, config.network)
    engine = lesson.engine(config, config.discount or None)
    known = None
    if config.network != "symmetric":
        if config.evaluate_agents not in (0, config.agents):
            raise LessonError(
                f"networks know {config.agents or 'all'} agents one by one, and are to be measured"
                f" with {config.evaluate_agents}",
                "leave `evaluate_agents` out, or `--opt network=symmetric`",
            )
        counts = engine.simulator.agents
        known = {f: counts[n] for f, n in lesson.program.names.items() if n in counts}
    try:
        crew = Crew(lesson.program, shape, look, known)
    except torch.OutOfMemoryError:
        raise LessonError(
            "networks of all agents do not fit into memory", "fewer agents, or network=symmetric"
        ) from None
    return GamePolicy(config, lesson, engine, crew, shape)
