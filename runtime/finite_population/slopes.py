"""Lipschitz constants of a program in the law, as the bounds need them."""

from dataclasses import dataclass

import numpy as np
import torch

from mfdsl.runtime.finite_population.constants import affine_slopes
from mfdsl.runtime.finite_population.grid import FloatArray, IntArray
from mfdsl.runtime.views.finite import FiniteView

LARGEST_TABLE = 2 * 10**8


@dataclass(frozen=True)
class Slopes:
    """Lipschitz constants of kernels and rewards per unit of each gauge.

    Broadcast to [steps, states, actions, gauges]; `final` to [states, gauges]. The gauge is the
    l1 distance of laws of state and action, or of the masses of `groups` [states, actions] of
    cells, or there is one for each of `statistics` [gauges, states, actions].
    """

    kernel: FloatArray
    reward: FloatArray
    final: FloatArray
    statistics: FloatArray | None = None
    groups: IntArray | None = None


def affine_program_slopes(view: FiniteView) -> Slopes:
    """Exact l1 constants of a program whose kernels and rewards are affine in the law.

    Affine functions are known from their values at point masses. That they are affine is checked
    at random mixtures, which refutes but does not prove it: prove it from the spec. Cells that
    the game cannot tell apart are one group.

    Raises:
        ValueError: a table is too large, or is not affine in the law.
    """
    program = view.program
    states, actions = program.state_count, program.action_count
    if (size := states**3 * actions**2) > LARGEST_TABLE:
        raise ValueError(f"{size} entries of a gradient, more than {LARGEST_TABLE}")
    kernel = [_gradient(view, t, "kernel") for t in range(_periods(view))]
    reward = [_gradient(view, t, "rewards") for t in range(_periods(view))]
    read = [table.reshape(-1, states * actions) for table in (*kernel, *reward)]
    final = np.zeros((states, 1))
    if program.module.HAS_FINAL:
        last = _gradient(view, view.stages, "final_rewards")
        final = affine_slopes(last)[:, None]
        read.append(np.repeat(last.reshape(-1, states), actions, axis=-1))
    return Slopes(
        np.stack([affine_slopes(k) for k in kernel])[..., None],
        np.stack([affine_slopes(r) for r in reward])[..., None],
        final,
        groups=_groups(np.concatenate(read)).reshape(states, actions),
    )


def _groups(columns: FloatArray) -> IntArray:
    """The group of each cell: cells with equal columns, up to 1e-12, are one."""
    groups = np.full(columns.shape[1], -1, dtype=np.int64)
    count = 0
    for cell in range(len(groups)):
        if groups[cell] < 0:
            alike = np.abs(columns - columns[:, cell : cell + 1]).max(0) <= 1e-12
            groups[alike & (groups < 0)] = count
            count += 1
    return groups


def _periods(view: FiniteView) -> int:
    module = view.program.module
    reads = module.SUCCESSORS_READ | module.WEIGHTS_READ | module.REWARDS_READ
    return view.stages if "time" in reads else 1


def _gradient(view: FiniteView, t: int, name: str) -> FloatArray:
    """Values [states, actions or none, outputs, cells] at all point masses."""
    program = view.program
    states, actions = program.state_count, program.action_count
    cells = states if name == "final_rewards" else states * actions
    mixtures = np.random.default_rng(t).dirichlet(np.ones(cells), size=4)
    laws = np.concatenate([np.eye(cells), mixtures])
    shape = tuple(program.states.values())
    shape += () if name == "final_rewards" else tuple(program.actions.values())
    lead = {"kernel": (states, actions, states), "rewards": (states, actions, 1)}
    made = getattr(program.module, name)(
        view.tables.params, torch.tensor(t), torch.from_numpy(laws).reshape(len(laws), *shape)
    )
    target = lead.get(name, (states, 1))
    table = made.reshape(-1, *target).expand(len(laws), *target).numpy()
    corners = np.moveaxis(table[:cells], 0, -1)
    straight = np.moveaxis(corners @ mixtures.T, -1, 0)
    if np.abs(straight - table[cells:]).max() > 1e-9 * (1 + np.abs(table).max()):
        raise ValueError(f"{name} of {program.name} is not affine in the law")
    return np.asarray(corners)
