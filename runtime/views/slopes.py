"""Where a law that moves read goes next, and the exact derivative of that in the law.

The derivative of push(mu) is the chain at mu, and what the chances change with mu. Of these, row i
is one gradient: copy i of the law weighs with the mass that arrives at state i only, so all rows
are one backward pass over as many copies as there are states. That is the reference; games that fit
on a tape (`tape.py`) carry the derivatives along it in a compiled loop, in as many columns as
they need (`colours.py`).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.views import native
from mfdsl.runtime.views.colours import coloured, dependence, straight
from mfdsl.runtime.views.folding import Folding
from mfdsl.runtime.views.tables import Tables, doubled
from mfdsl.runtime.views.tape import Line, record

MOST_ENTRIES = 1 << 21  # of the copies of the tables of chances
FEW_POLICIES = 8  # from where lanes pay, which are as many or a multiple
MOST_LANES = 32

Vector = Float[Tensor, " states"]
Shares = Float[Tensor, "states actions"]


@dataclass(frozen=True, eq=False)
class Point:
    """A law [S], `change` = push(law) - law [S], and its derivative `slope` [S, S], rows first."""

    law: Float[Tensor, " states"]
    change: Float[Tensor, " states"] = field(repr=False)
    slope: Float[Tensor, "states next"] = field(repr=False)


class Moves(NamedTuple):
    """Moves for compiled loops: to `places` [S, A, K], with what stands at `chances` on the line.

    `joint` is where the joint law [S, A] begins there. Derivatives in the states of the law are
    carried in columns of their `colours` [S]; the first instructions, as many as are `straight`,
    have the same at all laws. Distinct chances stand at `distinct` [D]; that of a
    move is number `rows` [S, A, K] of these, which reads the states
    `columns[starts[d]:starts[d + 1]]`. The derivative of a push has `band` numbers below and above
    its diagonal. States are those of `populations` side by side, each with the same mass.
    """

    line: Line
    joint: int
    chances: NDArray[np.int64]
    places: NDArray[np.int64]
    straight: int
    colours: NDArray[np.int64]
    distinct: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    band: tuple[int, int]
    populations: int


@dataclass(frozen=True, eq=False)
class Reader:
    """One game whose chances read the law, while the places that moves lead to do not.

    Without `moves` the tensor code is used. These are in double precision, as are the tables
    `doubled`.
    """

    tables: Tables
    moves: Moves | None = field(repr=False)
    doubled: Tables = field(repr=False)
    _ahead: Folding = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ahead", Folding(self._slope_and_change))

    def at(self, law: Vector, shares: Shares) -> Point:
        """What happens at a law under a policy."""
        if self.moves is None:
            table = self._ahead(law, shares)
            return Point(law, table[:, -1], table[:, :-1])
        from mfdsl.runtime.views.native_slopes import slope_and_change  # needs numba

        slope, change = slope_and_change(self.moves, law.numpy(), shares.numpy())
        return Point(law, torch.from_numpy(change), torch.from_numpy(slope))

    def shares(
        self, probs: Float[Tensor, "batch states actions"]
    ) -> Float[Tensor, "batch states actions"]:
        """Policies in double precision; those in single precision are made to add up to 1."""
        shares = probs.double().contiguous()
        return shares if probs.dtype == shares.dtype else shares / shares.sum(-1, keepdim=True)

    def laws(
        self, moves: Moves, shares: Float[Tensor, "batch states actions"], tolerance: float
    ) -> tuple[Float[Tensor, "batch states"], Float[Tensor, " batch"]]:
        """The laws that policies keep by implicit steps in compiled loops over its `moves`.

        Also the l1 change of a push at each, -1 where steps do not end.
        """
        found = laws, residuals = np.empty(shares.shape[:2]), np.empty(len(shares))
        given = moves, self._initial, shares.numpy(), tolerance
        if width := lanes_of(len(shares)):
            from mfdsl.runtime.views.native_lane_laws import laws_kept_lanes  # needs numba

            laws_kept_lanes(*given, width, *found)
        else:
            from mfdsl.runtime.views.native_reading import laws_kept  # needs numba

            laws_kept(*given, *found)
        return torch.from_numpy(laws), torch.from_numpy(residuals)

    @cached_property
    def _initial(self) -> NDArray[np.float64]:
        return self.doubled.initial[:, 0].contiguous().numpy()

    def half_steps(
        self,
        moves: Moves,
        law: Float[Tensor, "states batch"],
        count: int,
        shares: Float[Tensor, "batch states actions"],
    ) -> Float[Tensor, "laws states batch"]:
        """The laws and so many after them, each halfway to where its `moves` push it."""
        from mfdsl.runtime.views.native_slopes import half_steps  # needs numba

        laws = law.new_empty(law.shape[1], count + 1, law.shape[0])
        laws[:, 0] = law.t()
        half_steps(moves, laws.numpy(), shares.numpy())
        return laws.permute(1, 2, 0)

    def _slope_and_change(self, law: Vector, shares: Shares) -> Float[Tensor, "states entries"]:
        """The slope with the change as a last column."""
        assert self.tables.successors is not None
        ahead = self.tables.successors[0].permute(2, 1, 0).contiguous()
        states = len(law)
        arrivals = law.new_zeros(states, *ahead.shape).scatter_(0, ahead[None], 1.0)
        here = torch.arange(states, device=law.device)[:, None, None]
        chances, gradient = self._chances(law[:, None] * shares, arrivals)
        going = (shares[..., None] * chances).expand(ahead.shape).reshape(-1)
        empty, places = law.new_zeros(states * states), (ahead * states + here).reshape(-1)
        chain = empty.scatter_add(0, places, going).view(states, states)
        identity = torch.eye(states, dtype=law.dtype, device=law.device)
        slope = (gradient * shares).sum(2) + chain - identity
        return torch.cat([slope, (chain @ law - law)[:, None]], 1)

    def _chances(self, mass: Shares, arrivals: Tensor) -> tuple[Tensor, Tensor]:
        """Chances [S or 1, A or 1, K] at a joint law, and gradients [S, S, A] of what arrives."""
        tables, (states, actions) = self.tables, mass.shape
        module, time = tables.program.module, tables.times(1)[0]
        shape = (*tables.program.states.values(), *tables.program.actions.values())
        with torch.enable_grad():
            copies = mass.detach().expand(states, states, actions).reshape(states, *shape)
            copies.requires_grad_()
            chances = module.weights(tables.params, time, module.field(tables.params, time, copies))
            chances = chances.expand(states, *chances.shape[1:])
            weights = (arrivals * mass[..., None]).sum_to_size(chances.shape)
            (gradient,) = torch.autograd.grad((chances * weights).sum(), copies)
        return chances.detach()[0], gradient.reshape(states, states, actions)


def lanes_of(policies: int) -> int:
    """How many policies of a game go side by side in compiled loops, 0 where each goes alone."""
    return min(MOST_LANES, policies // FEW_POLICIES * FEW_POLICIES)


def reader_of(tables: Tables) -> Reader | None:
    """The game as its chances read the law; None where they do not, places do, or in a batch."""
    if tables.successors is None or tables.games > 1:
        return None
    reads, states = tables.program.module.WEIGHTS_READ, len(tables.initial)
    if "law" not in reads or tables.successors[0].numel() * states > MOST_ENTRIES:
        return None
    exact = doubled(tables)
    return Reader(tables, _moves(exact), exact)


def _moves(tables: Tables) -> Moves | None:
    """The moves for compiled loops, None where these are not there or the chances do not fit."""
    unit, program = tables.unit, tables.program
    plain = unit.dtype == torch.float64 and unit.device.type == "cpu" and native.available()
    if not plain or tables.successors is None:
        return None
    module, time = program.module, tables.times(1)[0]
    shape = (*program.states.values(), *program.actions.values())

    def chances(joint: Tensor) -> list[Tensor]:
        law = joint.view(1, *shape)
        return [module.weights(tables.params, time, module.field(tables.params, time, law))]

    states, actions = program.state_count, program.action_count
    tape = record(chances, unit.new_full((states, actions), 1 / (states * actions)))
    if tape is None or len(tape.line.memory) * states > MOST_ENTRIES:
        return None
    places = tables.successors[0].permute(2, 1, 0).contiguous()
    chance = tape.results[0].expand(1, *places.shape)[0].contiguous()
    where = chance.numpy(), places.numpy()
    return _told_apart(tape.line, tape.inputs[0], *where, len(program.populations))


def _told_apart(
    line: Line,
    joint: int,
    chances: NDArray[np.int64],
    places: NDArray[np.int64],
    populations: int,
) -> Moves:
    """The moves with what their chances depend on."""
    states, actions, _ = places.shape
    inputs = np.zeros((len(line.memory), states), dtype=bool)
    inputs[joint : joint + states * actions] = np.repeat(np.eye(states, dtype=bool), actions, 0)
    distinct, rows = np.unique(chances, return_inverse=True)
    rows = rows.reshape(chances.shape)
    reads = dependence(line, inputs)[distinct]
    colours, starts, columns = coloured(reads)
    touched = np.zeros((states, states), dtype=bool)
    np.logical_or.at(touched, places.reshape(-1), reads[rows.reshape(-1)])
    touched[places, np.arange(states)[:, None, None]] = True
    to, source = np.nonzero(touched)
    band = int((to - source).max()), int((source - to).max())
    same = straight(line, np.logical_or.reduce(inputs, axis=1))
    told = same, colours, distinct, rows, starts, columns, band
    return Moves(line, joint, chances, places, *told, populations)
