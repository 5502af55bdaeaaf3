"""Where to cut an infinite discounted horizon so that the rest cannot matter."""

import math
from dataclasses import dataclass

from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.tables import build_tables, flow_rewards

TOLERANCE = 1e-9
MOST_STAGES = 20_000


@dataclass(frozen=True)
class Truncation:
    """`stages` kept, and `bound` on the discounted rewards after them.

    bound = discount^stages * scale / (1 - discount), where `scale` is the largest absolute
    reward met at the initial law and at the uniform law.
    """

    stages: int
    scale: float
    bound: float


def truncate(program: Program, params: Params) -> Truncation:
    """The shortest horizon with a bound of at most 1e-9, at most 20,000 stages."""
    tables = build_tables(program, params, 1)
    states, actions = program.state_count, program.action_count
    uniform = tables.initial.new_full(tables.initial.shape, 1 / states)
    laws = [
        law[None, None].expand(1, actions, -1, -1) / actions for law in (tables.initial, uniform)
    ]
    scale = max(flow_rewards(tables, law.contiguous()).abs().max().item() for law in laws)
    discount = program.discount
    if scale == 0 or discount == 0:
        return Truncation(1, scale, 0.0)
    needed = math.log(TOLERANCE * (1 - discount) / scale) / math.log(discount)
    stages = min(max(1, math.ceil(needed)), MOST_STAGES)
    return Truncation(stages, scale, discount**stages * scale / (1 - discount))
