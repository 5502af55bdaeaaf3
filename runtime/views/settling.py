"""The law that a policy keeps on a stationary horizon.

It is the limit of mu <- (mu + push(mu)) / 2 from the initial law; half steps make periodic chains
converge without moving their fixed points. The limit is found without most of the steps: small
chains by elimination (`chains.py`), others by reduced-rank extrapolation (Eddy 1979; Sidi 2008,
doi 10.1137/1.9781611974966), which combines the laws of a stretch of steps so that as little as
possible remains of their changes. Where moves read the law a few pushes are followed by implicit
steps (`implicit.py`), of small games in compiled loops (`native_reading.py`).
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.views import lanes, native
from mfdsl.runtime.views.chains import LEAVING, MOST_STEPS, limit_laws
from mfdsl.runtime.views.dense import chains_of, dense_table
from mfdsl.runtime.views.implicit import Meeting, implicit_law
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.slopes import Reader
from mfdsl.runtime.views.tables import Tables, stage_kernel
from mfdsl.runtime.views.taped_moves import Moves

MOST_PUSHES = 10_000
FEW_PUSHES = 1_000  # of a batch, before its games are settled one after another
MOST_FIRST = 64  # pushes before implicit steps
STRETCH = 8  # steps that are combined, fewer of games with few states
CHAINS = 1 << 20  # numbers of the chains that are eliminated at once
LAW_TOLERANCE = 1e-13
READER_TOLERANCE = 1e-12  # of laws that read themselves: steps near kinks shrink slowly
NEGATIVE = 1e-12  # by how much a combination may miss the simplex through rounding
LEAST_PART = 1e-3  # of a law that reads itself, what a combination leaves in each state
SMALL = 0.1  # l1 change of a step of a law that reads itself, from where steps are combined
FURTHER = 4.0  # times the sum of steps that shrink at the same rate
NUDGE = 1e-6
RIDGE = 1e-15

Laws = Float[Tensor, "states batch"]
Stretch = Callable[[Laws, int], Float[Tensor, "laws states batch"]]


def stationary_law(
    tables: Tables, probs: Float[Tensor, "actions states batch"], reader: Reader | None = None
) -> tuple[Laws, float]:
    """The law that the policies keep and the l1 change of a push from there.

    It is at most 1e-13, or 1e-12 where chains read the law; after 10,000 pushes the law is returned
    as it is. Chains that read the law may keep several: what was found by implicit steps of the
    `reader`, or extrapolated, is kept only if it draws back laws pushed off towards the initial
    one; otherwise all pushes are made.
    """
    law = tables.initial.expand(-1, probs.shape[-1]).contiguous()
    rounding = 16 * torch.finfo(law.dtype).eps
    if tables.kernel is not None:
        found, residual = _of_chain(tables.kernel, probs, law, max(LAW_TOLERANCE, rounding))
    else:
        found, residual = _of_readers(tables, probs, law, max(READER_TOLERANCE, rounding), reader)
    return found / found.sum(0), residual


def _of_readers(
    tables: Tables, probs: Tensor, law: Laws, tolerance: float, reader: Reader | None
) -> tuple[Laws, float]:
    """The laws of a batch together where that is soon done, otherwise one after another."""
    if reader is not None and reader.moves is not None:
        shares = reader.shares(probs.permute(2, 1, 0))
        laws, residual = kept_laws(reader, reader.moves, shares)
        return laws.t().to(law.dtype), residual
    stretch = _half_steps(tables, probs)
    if reader is None:
        return _of_reader(stretch, law, tolerance)
    if law.shape[1] > 1 or reader.jumps:
        found, residual = extrapolated(stretch, law, tolerance / 2, FEW_PUSHES, linear=False)
        if residual <= tolerance / 2 and _draws_back(stretch, found, law):
            return found, 2 * residual
    if law.shape[1] > 1:
        games = [slice(b, b + 1) for b in range(law.shape[1])]
        each = [_of_readers(tables, probs[..., b], law[:, b], tolerance, reader) for b in games]
        return torch.cat([found for found, _ in each], 1), max(change for _, change in each)
    shares = probs[..., 0].t().contiguous()
    populations = len(tables.program.populations)
    ended = _ended(stretch, partial(reader.at, shares=shares), law, tolerance, populations)
    return _of_reader(stretch, law, tolerance) if ended is None else ended


def kept_laws(
    reader: Reader, moves: Moves, shares: Float[Tensor, "batch states actions"]
) -> tuple[Float[Tensor, "batch states"], float]:
    """The same in compiled loops, game by game: by implicit steps, or stretches of pushes."""
    laws, residuals = reader.laws(moves, shares, READER_TOLERANCE)
    law = reader.doubled.initial
    for b in np.flatnonzero(residuals.numpy() < 0).tolist():
        stretch = partial(reader.half_steps, moves, shares=shares[b : b + 1])
        found, residuals[b] = _of_reader(stretch, law, READER_TOLERANCE)
        laws[b] = (found / found.sum(0))[:, 0]
    return laws, residuals.max().item()


def _ended(
    stretch: Stretch, at: Meeting, law: Laws, tolerance: float, populations: int
) -> tuple[Laws, float] | None:
    """The law that implicit steps reach after the first pushes, None where they do not end."""
    laws = law[None]
    for _ in range(0, MOST_FIRST, STRETCH):
        laws = stretch(laws[-1], STRETCH)
        sizes = (laws[1:] - laws[:-1]).abs().sum((1, 2))
        if sizes[-1] < min(SMALL, sizes[0].item()):
            break
    found = implicit_law(at, laws[-1, :, 0], law[:, 0], tolerance, populations)
    if found is None or not _draws_back(stretch, found[0][:, None], law):
        return None
    return found[0][:, None], found[1]


def law_kernel(tables: Tables, joint: Float[Tensor, "actions states batch"]) -> Kernel:
    """The transitions at a joint law of states and actions."""
    return stage_kernel(tables, tables.times(1)[0], tables.public_joint(joint[None])[0])


def _of_chain(kernel: Kernel, probs: Tensor, law: Laws, tolerance: float) -> tuple[Laws, float]:
    stretch = _whole_steps(kernel, probs)
    limit, residual = _eliminated(kernel, probs, law, stretch)
    if residual <= tolerance:
        return limit, residual
    return extrapolated(stretch, law, tolerance, MOST_PUSHES, linear=True)


def _of_reader(stretch: Stretch, law: Laws, tolerance: float) -> tuple[Laws, float]:
    found, residual = extrapolated(stretch, law, tolerance / 2, MOST_PUSHES, linear=False)
    if residual <= tolerance / 2 and not _draws_back(stretch, found, law):
        found, residual = _pushed(stretch, law, tolerance / 2)
    return found, 2 * residual


def _eliminated(kernel: Kernel, probs: Tensor, law: Laws, stretch: Stretch) -> tuple[Laws, float]:
    """Limits of small chains, some games at a time, and the change of a push there.

    The change is infinite where chains are large, or games differ.
    """
    if (banded := native.banded(kernel)) is not None:
        if (plan := lanes.plan_of(banded, law.shape[1])) is not None:
            return lanes.limit_laws(plan, banded, probs, law)
        return native.limit_laws(banded, probs, law, LEAVING, MOST_STEPS)
    actions, states, games = probs.shape
    if not kernel.shared or (table := dense_table(kernel, actions, states)) is None:
        return law, math.inf
    table = table.double()
    found = torch.empty_like(law)
    together = max(1, CHAINS // states**2)
    for first in range(0, games, together):
        part = slice(first, first + together)
        chains = chains_of(table, probs[..., part].double())
        found[:, part] = limit_laws(chains, law[:, part].t().double()).t().to(law.dtype)
    return found, (stretch(found, 1)[1] - found).abs().sum(0).max().item()


def extrapolated(
    stretch: Stretch, law: Laws, tolerance: float, most: int, *, linear: bool
) -> tuple[Laws, float]:
    """Laws after stretches of steps and their combinations, and the change of the last step.

    Ends when a step changes no law by more than the tolerance in l1, or after `most` steps.
    Combinations of linear chains keep the limit: they move within what the chain loses. Where
    chains read the law, steps are combined when they are small and shrink, and the combination
    goes no further than steps that shrink as fast would, to a law that moves less.
    """
    residual, count = math.inf, 0
    length = min(STRETCH, len(law) + 2)
    while True:
        laws = stretch(law, length)
        steps = laws[1:] - laws[:-1]
        sizes = steps.abs().sum(1)
        residual, count = sizes[-1].max().item(), count + length
        if not residual > tolerance or count >= most:
            return laws[-1], residual
        ready = sizes[-1] < sizes[0]
        if linear:
            law = _combined(laws, steps, ready, floor=0.0)
        else:
            law = _combined(laws, steps, ready & (sizes[-1] < SMALL), floor=LEAST_PART)
            law = _trusted(stretch, law, laws[-1], sizes)
            count += 1


def _combined(
    laws: Float[Tensor, "laws states batch"],
    steps: Float[Tensor, "steps states batch"],
    ready: Bool[Tensor, " batch"],
    floor: float,
) -> Laws:
    """The affine combination of the laws after the steps whose steps nearly cancel.

    Games keep their last law where they are not ready or the combination is no law; of the last
    law at least the share `floor` stays in each state.
    """
    scaled = (steps / steps[0].abs().amax(0).clamp(min=torch.finfo(steps.dtype).tiny)).double()
    products = torch.einsum("isb,jsb->bij", scaled, scaled)
    ridge = RIDGE * products.diagonal(dim1=1, dim2=2).sum(1)
    products = products + torch.diag_embed(ridge[:, None].expand(-1, len(steps)))
    parts = torch.linalg.solve_ex(products, products.new_ones(products.shape[:2]))[0]
    parts = parts / parts.sum(1, keepdim=True)
    last = laws[-1]
    found = last + torch.einsum("bi,isb->sb", parts, (laws[1:] - last).double()).to(last.dtype)
    kept = ready & (found.amin(0) >= -NEGATIVE) & found.isfinite().all(0)
    found = torch.maximum(found, floor * last)
    return torch.where(kept, found / found.sum(0), last)


def _trusted(
    stretch: Stretch, found: Laws, last: Laws, sizes: Float[Tensor, "steps batch"]
) -> Laws:
    """The combinations that move less than the last law did and are no further than expected."""
    rate = (sizes[-1] / sizes[0]) ** (1 / (len(sizes) - 1))
    reach = sizes[-1] * rate / (1 - rate)
    moved = (stretch(found, 1)[1] - found).abs().sum(0)
    near = (found - last).abs().sum(0) <= FURTHER * reach
    return torch.where(near & (moved < sizes[-1]), found, last)


def _draws_back(stretch: Stretch, found: Laws, start: Laws) -> bool:
    """Whether laws a little off in the direction of the start come nearer, in all games."""
    off = found + NUDGE * (start - found)
    distances = (stretch(off, min(STRETCH, len(off) + 2)) - found).abs().sum(1)
    noise = STRETCH * torch.finfo(found.dtype).eps
    nearer = (distances[-1] <= distances[0]) & (distances[-1] <= distances[-2] + noise)
    return bool((nearer | (distances[0] <= noise)).all())


def _pushed(stretch: Stretch, law: Laws, tolerance: float) -> tuple[Laws, float]:
    """All steps, one after another, looked at now and then."""
    residual = math.inf
    for _ in range(0, MOST_PUSHES, STRETCH):
        *_, before, law = stretch(law, STRETCH)
        residual = (law - before).abs().sum(0).max().item()
        if not residual > tolerance:
            break
    return law, residual


def _whole_steps(kernel: Kernel, probs: Tensor) -> Stretch:
    """Pushes by a chain that does not read the law."""

    def stretch(law: Laws, count: int) -> Tensor:
        laws = law.new_empty(count + 1, *law.shape)
        laws[0] = law
        if (loops := native.compiled_loops(kernel, law.shape[1])) is not None:
            native.stretch(loops, probs, laws)
            return laws
        for before, after in pairwise(laws):
            _push(kernel, before * probs, after)
        return laws

    return stretch


def _half_steps(tables: Tables, probs: Tensor) -> Stretch:
    """Halfway to where the chain at the law pushes it."""

    def stretch(law: Laws, count: int) -> Tensor:
        laws = law.new_empty(count + 1, *law.shape)
        laws[0] = law
        ahead = torch.empty_like(law)
        for before, after in pairwise(laws):
            joint = before * probs
            _push(law_kernel(tables, joint), joint, ahead)
            torch.lerp(before, ahead, 0.5, out=after)
        return laws

    return stretch


def _push(kernel: Kernel, joint: Tensor, out: Tensor) -> None:
    tail = () if out.shape[1] == 1 else (out.shape[1],)
    kernel.push(joint.view(-1, *tail), out.view(-1, *tail))
