"""Pathwise policy gradients: the return is differentiated through the emitted simulator.

Backpropagation through time over the differentiable view, with draws held fixed (Mohamed et al.
2020, arXiv:1906.10652, section 5). Exact where the spec is smooth; `CUTS` of the module says which
terms cut the gradient. Finite choices have no path: they stay with the score function.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.crew import Crew, standard
from mfdsl.runtime.learning.engine import Engine, team_reward
from mfdsl.runtime.learning.heads import ActionLaw, Drawn


@dataclass(frozen=True, eq=False)
class Course:
    """One differentiable episode: discounted team return [B], and the score of finite choices.

    `surplus` [B] has the value of the return and the gradient of return and score together.
    """

    returns: Tensor
    surplus: Tensor
    entropy: Tensor


def unrolled(
    engine: Engine, crew: Crew, episode: int, *, noisy: bool = True, baseline: Tensor | None = None
) -> Course:
    """Play one episode with gradients in the parameters of the crew.

    Without `noisy` everybody plays the mean. Finite choices add the score of their draw times the
    return to come, less a `baseline` [steps] (Williams 1992).
    """
    scores: list[Tensor] = []
    entropies: list[Tensor] = []

    def act(scene: Scene, number: int) -> Any:
        views = crew.views(scene.params, scene.time, scene.state, scene.batch)
        masks = crew.masks(scene.params, scene.time, scene.state, scene.batch)
        drawn, score = {}, None
        for sight, law in zip(crew.sights, crew.laws(views, masks).values(), strict=True):
            normal, uniform = standard(sight, crew.head(sight), scene, number)
            made = law.sample(normal, uniform)
            if not noisy and law.mean is not None:
                made = Drawn(law.mean, made.index)
            drawn[sight.field] = made
            entropies.append(law.entropy().mean())
            if law.logits is not None:
                chance = ActionLaw(None, None, law.logits).log_prob(made)
                chance = chance.sum(tuple(range(1, chance.ndim))) if chance.ndim > 1 else chance
                score = chance if score is None else score + chance
        if score is not None:
            scores.append(score)
        return crew.action(drawn, scene.params.unit)

    paid: list[Tensor] = []
    weight = 1.0
    for scene, _, rewards in engine.scenes(episode, act):
        due = engine.final(scene) if rewards is None else rewards
        if due is not None:
            paid.append(weight * team_reward(due, engine.batch))
        weight *= engine.discount
    returns = torch.stack(paid).sum(0)
    surplus = returns
    if scores:
        later = torch.stack(paid).detach().flip(0).cumsum(0).flip(0)[: len(scores)]
        level = later.mean(1, keepdim=True) if baseline is None else baseline[:, None]
        score = (torch.stack(scores) * (later - level)).sum(0)
        surplus = returns + score - score.detach()
    return Course(returns, surplus, torch.stack(entropies).mean())
