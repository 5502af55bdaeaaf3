"""The verb for one population beside a major on a grid of laws: simplex."""

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.cli.kept import keep
from mfdsl.parameters import gather

if TYPE_CHECKING:
    from mfdsl.runtime.solvers.simplex_grid import Found, Method
    from mfdsl.simplex import OnSimplex
    from mfdsl.simplex_layout import Way


class MethodChoice(StrEnum):
    """How to look for an equilibrium, or the best plan for all."""

    omd = "omd"
    fictitious_play = "fictitious_play"
    fixed_point = "fixed_point"
    control = "control"


METHODS: "dict[MethodChoice, Method]" = {
    MethodChoice.omd: "omd",
    MethodChoice.fictitious_play: "fictitious_play",
    MethodChoice.fixed_point: "fixed_point",
}


class ProjectionChoice(StrEnum):
    """Where laws between points of the grid go."""

    interpolate = "interpolate"
    nearest = "nearest"


def simplex(
    spec: options.Spec,
    method: Annotated[
        MethodChoice, typer.Option("--method", help="Of equilibria; or control: one plan for all.")
    ] = MethodChoice.omd,
    points: Annotated[int, typer.Option(min=1, help="Laws are multiples of 1 / points.")] = 50,
    projection: Annotated[
        ProjectionChoice, typer.Option("--projection", help="Where other laws go.")
    ] = ProjectionChoice.interpolate,
    iterations: Annotated[int, typer.Option(min=0, help="Stop after so many.")] = 100,
    tol: Annotated[float, typer.Option("--tol", min=0, help="Stop at this exploitability.")] = 1e-6,
    rate: Annotated[float, typer.Option("--rate", min=0, help="The step of omd.")] = 0.5,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Solve a game of one population and a major on a grid of laws, exactly on that grid."""
    from mfdsl.simplex import control_layout, save_policies, solve_layout
    from mfdsl.simplex_cost import cost_of
    from mfdsl.simplex_layout import layout_of

    console = Console(json, quiet)
    game = api.load(spec, params=gather(set_, params))
    shown: dict[str, Any] = {"spec": game.compilation.name, "method": method.value}
    way: Way = "control" if method is MethodChoice.control else METHODS[method]
    layout = layout_of(game, points, projection.value)
    console.line(str(cost_of(layout, way, iterations=iterations)))
    if method is MethodChoice.control:
        made, policies, value = control_layout(layout)
        console.line(_sizes(made))
        console.result(f"value of all {value:.8g}, by one plan on {len(made.game.laws):,} laws")
        shown |= {"value": value}
    else:
        made, found = solve_layout(
            layout, METHODS[method], iterations=iterations, tolerance=tol, rate=rate
        )
        policies = found.policies
        shown |= _show(console, made, found)
    shown |= {"points": points, "projection": projection.value}
    if out is not None:
        asked = {"iterations": iterations, "tol": tol, "rate": rate}
        arrays = ("policies.npz", partial(save_policies, made, policies))
        shown |= keep(console, game, "simplex", out, asked, shown, arrays)
    console.json_object(shown)
    return FINE


def _show(console: Console, made: "OnSimplex", found: "Found") -> dict[str, Any]:
    """An equilibrium on the screen, and as what `--json` prints."""
    score, major = found.score, made.observed.major
    console.line(_sizes(made))
    console.result(
        f"exploitability {score.exploitability:.3g} on the grid, the least of "
        f"{len(found.history) - 1:,} iterations"
    )
    console.result(f"  a member earns {score.member:.8g}, gains {score.member_gain:.3g}")
    if major is not None:
        console.result(f"  {major} earns {score.major:.8g}, gains {score.major_gain:.3g}")
    return {
        "exploitability": score.exploitability,
        "member": {"value": score.member, "gain": score.member_gain},
        "major": {"name": major, "value": score.major, "gain": score.major_gain},
        "history": list(found.history),
    }


def _sizes(made: "OnSimplex") -> str:
    common, acts, laws, states, own = made.game.sizes
    return (
        f"{common:,} common states, {acts} actions of the major, {laws:,} laws, "
        f"{states} states and {own} actions of members, {made.game.stages} stages"
    )
