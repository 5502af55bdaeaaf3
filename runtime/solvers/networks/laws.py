"""Games that differ in their initial law alone, side by side, and laws to start them from."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import View
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.networks.history import past_axis
from mfdsl.runtime.streams import draw
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stage_kernels import KeptKernels


def one_game(view: View) -> FiniteView:
    """The view of one game over time.

    Raises:
        SolverError: the horizon is stationary, or there are several games.
    """
    if not isinstance(view, FiniteView):
        raise SolverError(f"{view.program.name} has a stationary horizon: no law is its first")
    if view.tables.games > 1:
        raise SolverError("initial laws vary in one game at a time: solve without --sweep")
    return view


def with_initial_laws(view: View, laws: Float[Tensor, "batch states"]) -> FiniteView:
    """The game from each of these laws, as a batch.

    Raises:
        SolverError: the horizon is stationary, or there are several games already.
    """
    game = one_game(view)
    initial = laws.t().to(game.tables.initial).contiguous()
    tables = replace(game.tables, initial=initial, games=len(laws))
    return replace(game, tables=tables, kept=KeptKernels())


def drawn_laws(
    view: View, number: int, concentration: float, key: tuple[int, int, str]
) -> Float[Tensor, "batch states"]:
    """Initial laws drawn from a Dirichlet law with this concentration on every state.

    Each of several populations has its own, and the same mass as ever.

    Raises:
        SolverError: the common state is random, so that its law is no choice; or see `one_game`.
    """
    program, first = view.program, one_game(view).tables.initial[:, 0]
    _check_drawable(program)
    groups = len(program.populations)
    weights = draw(("gamma", concentration), (number, len(first)), key, dtype=first.dtype)
    parts = weights.to(first.device).view(number, groups, -1)
    return (parts / parts.sum(-1, keepdim=True) / groups).view(number, -1)


def normal_laws(
    view: View, number: int, key: tuple[int, int, str]
) -> Float[Tensor, "batch states"]:
    """Initial laws that are bell curves over the axes of states, independent along each of them.

    Their centres are even over the middle half of an axis, their widths (standard deviations) from
    1/40 to 1/10 of it; each of several populations has its own, and the same mass as ever.

    Raises:
        SolverError: as for `drawn_laws`.
    """
    program, first = view.program, one_game(view).tables.initial[:, 0]
    _check_drawable(program)
    groups, sizes = len(program.populations), own_sizes(program)
    given = draw(("uniform",), (number, groups, len(sizes), 2), key, dtype=first.dtype)
    laws = first.new_ones(number, groups, 1)
    for axis, size in enumerate(sizes):
        place = torch.linspace(0, 1, size, dtype=first.dtype, device=first.device)
        centre, width = given[:, :, axis].to(first.device).unbind(-1)
        centre, width = 0.25 + centre / 2, 0.025 + 0.075 * width
        off = (place - centre[..., None]) / width[..., None]
        laws = (laws[..., None] * torch.softmax(-off * off / 2, -1)[..., None, :]).flatten(2)
    return laws.reshape(number, -1) / groups


def own_sizes(program: Program) -> list[int]:
    """Sizes of the axes of states of each population; the first one lists populations as well."""
    first, *others = program.states.values()
    return [first // len(program.populations), *others]


def mean_places(
    program: Program, laws: Float[Tensor, "batch stages states"]
) -> Float[Tensor, "batch stages places"]:
    """Where each population is in the mean along each axis of states, ends at -1 and 1."""
    groups, sizes = len(program.populations), own_sizes(program)
    apart, found = laws.reshape(*laws.shape[:2], groups, *sizes), []
    for axis, size in enumerate(sizes):
        if size > 1:
            line = torch.linspace(-1, 1, size, dtype=laws.dtype, device=laws.device)
            along = apart.movedim(3 + axis, -1).reshape(*apart.shape[:3], -1, size).sum(3)
            found.append(along @ line * groups)
    return torch.cat(found, -1) if found else laws[..., :0]


def _check_drawable(program: Program) -> None:
    past = past_axis(program)
    if past is not None and program.states[past] > 1:
        raise SolverError(
            f"the law of the common state of {program.name} is given, so none is drawn: "
            "take `laws = spec`"
        )
