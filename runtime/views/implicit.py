"""Laws that read themselves, by implicit steps of growing length.

Pushes take as many steps as the slowest exchange between states takes time: cells that are nearly
closed fill for 10^9 steps. A step of length h is mu' = mu + h (push(mu') - mu'), solved by Newton's
method with the exact derivative; as h grows it becomes Newton's method for the law itself
(pseudo-transient continuation: Kelley and Keyes 1998, doi 10.1137/S0036142996304796). Steps follow
the pushes where the law still travels, and each is checked:

- It does not go against the flow: with an odd number of directions in which laws part faster than
  1 / h, the determinant is negative, and the step is shortened.
- It stays near what was linear: the second correction is at most half of the first one (the
  affine-invariant test of Deuflhard 2011, doi 10.1007/978-3-642-23899-4). That can still carry a
  law across the edge of a closed cell, so there are steps solved to the end as well, which cannot.
- A law pushed off towards the start returns, so that it is no law among many that stand still.

Populations keep their masses, which are equal: otherwise rounding, times the length, moves some.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.views.slopes import Point

FIRST = 1.0  # length of the first step
BACK = 1e3  # length of the first step of those that return
LONGEST = 1e-6  # length of the longest, over the unit of rounding
LONG = 1e6  # from where a step that moves nothing shows that nothing is to come
LEAST = 1e-3
GROWTH = 1e3
SHRINKAGE = 8.0
AFTERWARDS = 4.0  # growth after a step that was refused
NONLINEAR = 0.1  # ratio of corrections that keeps the length
ALLOWED = 0.5  # ratio of corrections of a step that is taken
STILL = 1e-10  # l1 length of the last step
SOLVED = 1e-9  # l1 size of a correction that ends a step
MOST_CORRECTIONS = 6
MOST_STEPS = {False: 24, True: 100}  # of steps that are not, and are, exact
NEGATIVE = 1e-12  # by how much a step may miss the simplex through rounding
NUDGE = 1e-4
RETURN = {False: 1e-4, True: 1e-2}  # of a nudge, what may remain

Vector = Float[Tensor, " states"]
Meeting = Callable[[Vector], Point]


@dataclass(frozen=True, eq=False)
class Step:
    """Where a step ends, and the ratio of its first two corrections."""

    end: Point
    ratio: float


def implicit_law(
    at: Meeting, law: Vector, start: Vector, tolerance: float, populations: int = 1
) -> tuple[Vector, float] | None:
    """The law in which pushes from `law` end and the l1 change of a push there.

    None where steps do not end at one, or it does not draw back what is pushed off to `start`.
    """
    for exact in (False, True):
        found = _followed(at, law, FIRST, tolerance, populations, exact=exact)
        if found is None:
            continue
        off = found.law + NUDGE * (start - found.law)
        distance = (off - found.law).abs().sum()
        if distance > 64 * torch.finfo(law.dtype).eps:
            back = _followed(at, off, BACK, tolerance, populations, exact=exact)
            if back is None or (back.law - found.law).abs().sum() > RETURN[exact] * distance:
                continue
        return found.law, found.change.abs().sum().item()
    return None


def _followed(
    at: Meeting, law: Vector, length: float, tolerance: float, populations: int, *, exact: bool
) -> Point | None:
    """The point where steps end, None where they do not end at one."""
    eps = torch.finfo(law.dtype).eps
    longest, most = LONGEST / eps, GROWTH
    here = at(law)
    for _ in range(MOST_STEPS[exact]):
        noise = max(STILL, 64 * eps, length * eps)
        step = _stepped(at, here, length, noise, populations, exact=exact)
        if step is None:
            length, most = length / SHRINKAGE, AFTERWARDS
            if length < LEAST:
                return None
            continue
        moved = (step.end.law - here.law).abs().sum().item()
        here = step.end
        if moved <= noise and length >= min(LONG, longest):
            return here if here.change.abs().sum().item() <= tolerance else None
        growth = min(most, NONLINEAR / max(step.ratio, NONLINEAR / GROWTH))
        length, most = min(longest, length * max(1.0, growth)), GROWTH
    return None


def _stepped(
    at: Meeting, here: Point, length: float, noise: float, populations: int, *, exact: bool
) -> Step | None:
    """One step, solved to the end where it is `exact`; None where it is to be shorter."""
    point, sizes = here, list[float]()
    for _ in range(MOST_CORRECTIONS):
        right = (length * point.change - (point.law - here.law)).view(populations, -1)
        # What rounding adds to the masses would grow with the length.
        right = right - right.sum(1, keepdim=True) * populations * point.law.view_as(right)
        correction = _corrected(point.slope, length, right.view(-1))
        if correction is None:
            return None
        sizes.append(correction.abs().sum().item())
        if len(sizes) > 1 and sizes[-1] > max(ALLOWED * sizes[-2], noise):
            return None
        if len(sizes) > 1 and (not exact or sizes[-1] <= max(SOLVED, noise)):
            return Step(point, sizes[1] / max(sizes[0], noise))
        law = point.law + correction
        if law.amin() < -NEGATIVE:
            return None
        masses = law.clamp(min=0).view(populations, -1)
        point = at((masses / (masses.sum(1, keepdim=True) * populations)).view(-1))
    return None


def _corrected(slope: Tensor, length: float, right: Vector) -> Vector | None:
    """The x with (I - length slope) x = right; None where the determinant is not positive."""
    system = slope * -length
    system.diagonal().add_(1)
    factors, pivots, failed = torch.linalg.lu_factor_ex(system)
    swaps = (pivots != torch.arange(1, len(pivots) + 1, device=pivots.device)).sum()
    negative = (factors.diagonal() < 0).sum()
    if failed or (swaps + negative) % 2:
        return None
    found: Tensor = torch.linalg.lu_solve(factors, pivots, right[:, None])
    return found[:, 0]
