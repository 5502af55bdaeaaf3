"""What the members of a population meet at each stage, at all pasts and turns around them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.validating.blocks import Floats
from mfdsl.validating.conditional_game import ConditionalGame, common_values

LARGEST_TABLE = 2 * 10**7  # entries of the kernels at all pasts and turns


@dataclass(frozen=True)
class Stage:
    """What members meet at one stage, at each past and turn [B]; `joint` is their law there."""

    t: int
    values: dict[str, list[int]]
    kernels: Floats
    rewards: Floats
    joint: Floats
    policy: Floats
    legal: Floats


def stages_of(game: Game, inside: ConditionalGame, evaluation: Evaluation) -> list[Stage]:
    """All stages along the flow of a policy; a final reward is one more.

    Raises:
        UsageError: there are too many pasts and turns.
    """
    flow, probs = evaluation.flow.joint[0].numpy(), evaluation.policy.probs[0].numpy()
    stages = [
        _stage(game, inside, t, flow[t], probs[min(t, len(probs) - 1)])
        for t in range(inside.tree.stages)
    ]
    if game.program.module.HAS_FINAL:
        stages.append(_last(game, inside, evaluation.flow.laws[0, -1].numpy()))
    return stages


def _stage(game: Game, inside: ConditionalGame, t: int, joint: Floats, probs: Floats) -> Stage:
    tree = inside.tree
    own = _own_part(game, inside, joint, total=True)
    mass = own.sum((1, 2))
    reached = np.flatnonzero(mass[: len(tree.states[t])] > 0)
    possible = _possible(inside, t)[reached]
    which, turns = np.nonzero(possible)
    pasts = reached[which]
    states, actions = inside.shape
    if len(pasts) * states**2 * actions * tree.stages > LARGEST_TABLE:
        raise UsageError(f"{len(pasts):,} turns at t = {t} are too many for a bound")
    laws = own[pasts] / mass[pasts, None, None]
    values = common_values(inside, t, pasts, turns)
    flat = laws.reshape(len(pasts), -1)
    return Stage(
        t=t,
        values=values,
        kernels=inside.tables("kernel", t, values, flat),
        rewards=inside.tables("rewards", t, values, flat),
        joint=laws,
        policy=_own_part(game, inside, probs, total=False)[pasts],
        legal=inside.legal(t, values, len(pasts)),
    )


def _possible(inside: ConditionalGame, t: int) -> NDArray[np.bool_]:
    """Whether a turn can happen after a past of stage t, [pasts, turns]."""
    tree = inside.tree
    tables = np.array([tree.chances, *tree.even.values()])
    found: NDArray[np.bool_] = (tables > 0).all(0).reshape(tree.stages, tree.width, tree.turns)[t]
    return found


def _last(game: Game, inside: ConditionalGame, law: Floats) -> Stage:
    """The last states as one more step, with one action that pays the final reward."""
    tree, (states, actions) = inside.tree, inside.shape
    joint = np.zeros((len(law), game.program.action_count))
    joint[:, 0] = law
    own = _own_part(game, inside, joint, total=True).sum(-1)
    pasts = np.flatnonzero(own[: len(tree.states[-1])].sum(-1) > 0)
    laws = own[pasts] / own[pasts].sum(-1, keepdims=True)
    values = common_values(inside, tree.stages, pasts, None)
    only = np.broadcast_to(np.eye(actions)[0], (len(pasts), states, actions))
    final = inside.tables("final_rewards", tree.stages, values, laws)
    stay = np.broadcast_to(np.eye(states)[:, None], (len(pasts), states, actions, states))
    return Stage(
        tree.stages, values, stay, final[..., None] * only, laws[..., None] * only, only, only
    )


def _own_part(game: Game, inside: ConditionalGame, table: Floats, *, total: bool) -> Floats:
    """The part [pasts, states, actions] of a table of the game that is about the population.

    With `total` masses are added over the variables of others; else those stand at their first.
    """
    program, small = game.program, game.reduced
    assert small is not None
    axes = [*program.states, *program.actions]
    cube = table.reshape(*program.states.values(), *program.actions.values())
    name = inside.small.population.name
    keep = [inside.tree.axis, *inside.axes, *inside.actions]
    sizes = [None, *inside.program.states.values(), *inside.program.actions.values()]
    for axis in reversed(range(len(axes))):
        if axes[axis] == small.who:
            cube = np.asarray(cube.take(small.populations.index(name), axis))
        elif axes[axis] not in keep:
            action = axis >= len(program.states)
            cube = np.asarray(cube.sum(axis) if total or action else cube.take(0, axis))
    left = [a for a in axes if a in keep]
    cube = np.transpose(cube, [left.index(a) for a in keep])
    for axis, size in enumerate(sizes):
        if size is not None:
            cube = cube.take(range(size), axis)
    count, actions = inside.shape
    return cube.reshape(-1, count, actions)
