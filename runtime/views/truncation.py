"""Where to cut an infinite discounted horizon so that the rest cannot matter."""

import math
from dataclasses import dataclass

from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.tables import build_tables, flow_rewards

TOLERANCE = 1e-9
ROUNDING = 1e-6
MOST_STAGES = 20_000


@dataclass(frozen=True)
class Truncation:
    """`stages` kept, and `bound` on the discounted rewards after them.

    bound = discount^stages * scale / (1 - discount), where no reward is farther than `scale` from 0
    if that is `known`: where rewards read neither laws nor time, or their range is known for the
    parameters of all games. Else it is the largest met at the initial law and at the uniform law at
    t = 0, and 1 at least, so that nothing is known of the rest.
    """

    stages: int
    scale: float
    bound: float
    known: bool

    @property
    def negligible(self) -> bool:
        """Whether what is cut off is certain not to matter."""
        return self.known and self.bound <= TOLERANCE * (1 + ROUNDING)


def truncate(program: Program, params: Params) -> Truncation:
    """The shortest horizon with a bound of at most 1e-9, at most 20,000 stages."""
    scale, known = _scale(program, params)
    discount = program.discount
    rest = discount * scale / (1 - discount)
    if not TOLERANCE < rest < math.inf:  # what is no number is told by whoever evaluates it
        return Truncation(1, scale, rest, known or discount == 0)
    needed = math.log(TOLERANCE * (1 - discount) / scale) / math.log(discount)
    stages = min(math.ceil(needed), MOST_STAGES)
    return Truncation(stages, scale, discount**stages * scale / (1 - discount), known)


def _scale(program: Program, params: Params) -> tuple[float, bool]:
    """How far rewards are from 0 at most, and whether that is certain."""
    if not {"law", "time"} & program.module.REWARDS_READ:
        return _met(program, params), True
    most = None if program.most is None else program.most(params, program.batched(params))
    return (max(1.0, _met(program, params)), False) if most is None else (most, True)


def _met(program: Program, params: Params) -> float:
    """The largest absolute reward at the initial law and at the uniform law, at t = 0."""
    tables = build_tables(program, params, 1)
    states, actions = program.state_count, program.action_count
    uniform = tables.initial.new_full(tables.initial.shape, 1 / states)
    laws = [
        law[None, None].expand(1, actions, -1, -1) / actions for law in (tables.initial, uniform)
    ]
    return max(flow_rewards(tables, law.contiguous()).abs().max().item() for law in laws)
