"""A small game for compiled loops: what is known of it, and tapes of all else.

The functions of the module are written down once (`tape.py`); `native_tape.py` goes along the
stages with them.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.views import native
from mfdsl.runtime.views.tables import Tables, doubled
from mfdsl.runtime.views.tape import Line, Places, Tape, record

MOST_STAGE = 1 << 16  # entries of one stage
MOST_WORK = 1 << 20  # terms of one evaluation; beyond, vector instructions are faster
MOST_MOVING = 1 << 24  # the same where moves are worked out at every stage
KINDS = (torch.float64, torch.float32)
Numbers = NDArray[np.float64]
Where = NDArray[np.int64]


class Walk(NamedTuple):
    """One game for the compiled loop; of every pair below one is empty.

    A state and action land in the row `landing[a, s]`; entries `starts[row]:starts[row + 1]` go on
    to `targets` with `chances`, or to what stands on the line at `target_places` and
    `chance_places`. Rewards are `known` [T or 1, A, S] or stand at `paid` [A, S]. The joint law
    stands at `joints` [A, S], from `joint` on.
    """

    line: Line
    time: int
    joint: int
    joints: Where
    landing: Where
    starts: Where
    targets: Where
    target_places: Where
    chances: Numbers
    chance_places: Where
    known: Numbers
    paid: Where
    legal: NDArray[np.bool_]
    initial: Numbers
    endless: bool
    last_line: Line
    last_law: int
    last_paid: Where


class Written(NamedTuple):
    """A walk with parameters that stand on its line, and where each begins on both lines."""

    walk: Walk
    given: tuple[int, ...]
    last_given: tuple[int, ...]


def written(tables: Tables, *, endless: bool) -> Walk | None:
    """The game in double precision, whatever its tables are in; None where tensors are used."""
    found = written_with(tables, (), endless=endless)
    return None if found is None else found.walk


def written_with(tables: Tables, given: Sequence[str], *, endless: bool) -> Written | None:
    """The same, with parameters that are given beside the law: the line works out what reads them.

    Known rewards, chances and the first law are at the parameters of the tables.
    """
    unit = tables.unit
    plain = tables.games == 1 and unit.dtype in KINDS and unit.device.type == "cpu"
    entries = tables.program.action_count * tables.program.state_count
    if tables.kernel is None:
        entries *= tables.program.noise_count
    most = _most(tables) // max(1, tables.stages)
    if not plain or entries > min(most, MOST_STAGE) or not native.available():
        return None
    exact = doubled(tables)
    ends = tables.program.module.HAS_FINAL and not endless
    last = _last(exact, given) if ends else _nothing()
    moves = _entries(exact) is None
    tape = None if last is None else _tape(exact, given, moves=moves)
    if last is None or tape is None:
        return None
    walk = _walk(exact, tape, last, endless=endless)
    return None if walk is None else Written(walk, tape.inputs[2:], last.inputs[1:])


def _walk(tables: Tables, tape: Tape, last: Tape, *, endless: bool) -> Walk | None:
    entries = _entries(tables)
    program = tables.program
    states, actions = program.state_count, program.action_count
    none, nowhere = np.zeros(0), np.zeros(0, np.int64)
    landing = np.arange(actions * states).reshape(actions, states)
    paid, *moved = tape.results
    targets, target_places, chances, chance_places = nowhere, nowhere, none, nowhere
    if entries is not None:
        landing, starts, targets, chances = entries
    else:
        weights, successors = moved
        noises = successors.shape[-1]
        starts = np.arange(actions * states + 1) * noises
        chance_places = _by_row(weights, states, actions, noises)
        target_places = _by_row(successors, states, actions, noises)
        if tables.successors is not None:
            targets = tables.successors[0].permute(1, 2, 0).reshape(-1).numpy().copy()
            target_places = nowhere
    known = np.zeros((0, actions, states))
    if tables.rewards is not None:
        known = np.ascontiguousarray(tables.rewards[..., 0].numpy())
    legal = np.ones((1, actions, states), dtype=bool)
    if tables.legal is not None:
        legal = np.ascontiguousarray(tables.legal[..., 0].numpy())
    work = tape.work + 3 * len(target_places if len(target_places) else targets) + landing.size * 6
    if work * tables.stages > _most(tables):
        return None
    return Walk(
        line=tape.line,
        time=tape.inputs[0],
        joint=tape.inputs[1],
        joints=tape.inputs[1] + np.arange(actions * states).reshape(actions, states),
        landing=np.ascontiguousarray(landing),
        starts=starts,
        targets=targets,
        target_places=target_places,
        chances=chances,
        chance_places=chance_places,
        known=known,
        paid=np.ascontiguousarray(paid.expand(1, states, actions)[0].t().numpy()),
        legal=legal,
        initial=tables.initial[:, 0].contiguous().numpy(),
        endless=endless,
        last_line=last.line,
        last_law=last.inputs[0] if last.inputs else 0,
        last_paid=last.results[0].reshape(-1).contiguous().numpy() if last.results else nowhere,
    )


def _most(tables: Tables) -> int:
    return MOST_MOVING if tables.kernel is None else MOST_WORK


def _entries(tables: Tables) -> native.Entries | None:
    """The moves that are the same at all stages and laws."""
    choice = getattr(tables.kernel, "choice", None)
    return choice.entries if isinstance(choice, native.Choice) else None


def _tape(tables: Tables, given: Sequence[str], *, moves: bool) -> Tape | None:
    """Rewards, and moves where they are not known, of stage t at a joint law [A, S]."""
    program, module = tables.program, tables.program.module
    states, actions = program.state_count, program.action_count

    def stage(t: Tensor, joint: Tensor, *values: Tensor) -> list[Tensor]:
        params = tables.params._replace(**dict(zip(given, values, strict=True)))
        paid = joint.new_zeros(1, states, actions)
        if tables.rewards is None:
            paid = module.rewards(params, t.reshape(1), joint).reshape(-1, states, actions)
        if not moves:
            return [paid]
        field = module.field(params, t, joint)
        return [paid, module.weights(params, t, field), module.successors(params, t, field)]

    even = torch.full((1, actions, states, 1), 1 / (actions * states), dtype=torch.float64)
    values = [getattr(tables.params, name) for name in given]
    return record(stage, torch.tensor(0), tables.public_joint(even)[0], *values)


def _last(tables: Tables, given: Sequence[str]) -> Tape | None:
    """The final reward of a law [S]."""
    program = tables.program
    end, states = torch.tensor(tables.stages), program.state_count

    def final(law: Tensor, *values: Tensor) -> list[Tensor]:
        params = tables.params._replace(**dict(zip(given, values, strict=True)))
        paid = cast(Tensor, program.module.final_rewards(params, end, law))
        return [paid.reshape(-1, states).expand(1, states)]

    even = torch.full((1, *program.states.values()), 1 / states, dtype=torch.float64)
    return record(final, even, *[getattr(tables.params, name) for name in given])


def _nothing() -> Tape:
    """No final reward."""
    code, places = np.zeros((0, 7), np.int64), np.zeros(0, np.int64)
    return Tape(Line(code, places, np.zeros(0)), (), ())


def _by_row(places: Places, states: int, actions: int, noises: int) -> Where:
    """Places [1, S or 1, A or 1, K] of all entries, those of action a and state s side by side."""
    table = places.expand(1, states, actions, noises)[0].permute(1, 0, 2)
    return table.reshape(-1).contiguous().numpy()
