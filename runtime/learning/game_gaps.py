"""What agents gain by leaving networks that were learned in a game."""

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.base import Lesson
from mfdsl.runtime.learning.chances import crew_chances, on_tables
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.gaps import exact_gap, learned_gap, tables_for
from mfdsl.runtime.learning.placed import Tables, own_actions, placed
from mfdsl.runtime.learning.table import GameConfig
from mfdsl.runtime.solvers.independent_mirror_descent import mean_agent

MOST_NUMBERS = 20_000_000  # of the tables of all agents together


def gap_of(lesson: Lesson, crew: Crew, config: GameConfig) -> Exploitability | None:
    """The exploitability of a crew by tables, a learned lower bound where the options ask for it,
    None where neither is there.
    """
    if config.gap == "none":
        return None
    tables = tables_for(lesson)
    if tables is not None and not crew.known:
        return exact_gap(lesson, crew_chances(crew, tables))
    if tables is not None and _alone(crew, tables):
        policies = tables_of_each(crew, tables)
        mean = mean_agent(tables.view, policies)
        return Evaluation(tables.view, tables.view.policy(mean)).exploitability
    if config.gap == "learned" and not crew.known:
        numbers = config.evaluate_agents or config.agents or None
        behaviour = crew.behaviour(mode=True)
        return learned_gap(lesson, behaviour, agents=numbers, seed=lesson.seed)
    return None


def _alone(crew: Crew, tables: Tables) -> bool:
    """Whether there is one population whose agents read no law, and tables of all of them fit."""
    (sight, *others), reduced = crew.sights, tables.reduced
    if others or sight.single or reduced.past is not None or crew.widths[sight.field][2]:
        return False
    stages = tables.view.uniform().stages
    return crew.known[sight.field] * tables.entries(stages) <= MOST_NUMBERS


@torch.no_grad()
def tables_of_each(crew: Crew, tables: Tables) -> Float[Tensor, "agents stages states actions"]:
    """The policies of agents that networks know one by one, each as a table.

    For one population that reads no law. Every place is a scene in which all agents stand there.
    """
    view = tables.view
    (sight,) = crew.sights
    number = crew.known[sight.field]
    probs = view.uniform().probs[:1].expand(number, -1, -1, -1).clone()
    law = view.flow(view.policy(probs[:1])).laws[0, 0]
    axes = own_actions(tables.reduced, tables.model.player(sight.player))
    for t in range(probs.shape[1]):
        scene, rows = placed(tables, t, law)
        (row,) = rows
        seen = crew.seen(scene)[sight.field]
        assert seen.own is not None
        places = seen.own.flatten(0, 1)
        common = seen.common.repeat_interleave(seen.own.shape[1], 0)
        each = View(places[:, None].expand(-1, number, -1), common, (), ())
        mask = crew.masks(scene).get(sight.field)
        if mask is not None:
            mask = mask.flatten(0, 1)[:, None].expand(-1, number, -1)
        law_of = crew.laws[sight.field](crew.told(each, sight.field), mask)
        found = on_tables(law_of, crew.head(sight), axes).transpose(0, 1)  # [N, places, A]
        flat = row.flat.reshape(-1)
        there = flat >= 0
        whole = probs.new_zeros(number, int(there.sum()), probs.shape[-1])
        whole[..., row.actions] = found[:, there].to(probs)
        probs[:, t, flat[there]] = whole / whole.sum(-1, keepdim=True)
    return probs
