"""Where the outcome of a draw changes, by bisection: probabilities compared, not only samples.

A finite outcome is drawn by comparing a uniform number u with probabilities, so the u at which an
agent's next state first differs from that at u = 0 is one of its probabilities. All agents are
bisected at once, which treats them alike whatever they read of each other.
"""

from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram

HALVINGS = 40


def thresholds(
    program: AgentProgram, params: Any, now: Tensor, state: Any, action: Any, noise: Any
) -> dict[tuple[str, str], Tensor]:
    """For each uniform draw of a population a switching point [B, N] of the finite next states.

    Where a next state is the same at both ends of the draw it is 1.
    """
    found = {}
    for field in program.populations:
        for name, (law, shape) in program.module.NOISES.get(field, {}).items():
            if law[0] != "uniform" or shape:
                continue
            part = noise._asdict()[field]

            def outcome(
                u: Tensor, field: str = field, name: str = name, part: Any = part
            ) -> Tensor:
                drawn = noise._replace(**{field: part._replace(**{name: u})})
                after = program.module.step(params, now, state, action, drawn)[0]
                values = [v for v in after._asdict()[field] if not v.dtype.is_floating_point]
                flat = [v.long().reshape(*v.shape[:2], -1).expand(*u.shape, -1) for v in values]
                return torch.cat(flat, -1) if flat else u.new_zeros(*u.shape, 0)

            size = part._asdict()[name]
            low, high = torch.zeros_like(size), torch.full_like(size, 1 - 2.0**-53)
            first = outcome(low)
            switches = (outcome(high) != first).any(-1)
            for _ in range(HALVINGS if switches.any() else 0):
                middle = (low + high) / 2
                changed = (outcome(middle) != first).any(-1)
                low, high = torch.where(changed, low, middle), torch.where(changed, middle, high)
            found[field, f"threshold of draw {name}"] = torch.where(switches, high, 1.0)
    return found
