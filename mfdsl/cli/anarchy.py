"""The verb that compares equilibria with the social optimum: anarchy."""

from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.cli.kept import keep
from mfdsl.cli.progress import searches
from mfdsl.parameters import gather

if TYPE_CHECKING:
    from mfdsl.anarchy import Anarchy


def anarchy(
    spec: options.Spec,
    tol: Annotated[
        float, typer.Option("--tol", min=0, help="What counts as an equilibrium.")
    ] = 1e-6,
    iterations: Annotated[int, typer.Option(min=0, help="Of each solver, at most.")] = 1000,
    starts: Annotated[int, typer.Option(min=1, help="Policies to begin from.")] = 3,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    seed: options.Seed = 0,
    device: options.Device = options.DeviceChoice.cpu,
    dtype: options.Dtype = options.DtypeChoice.float64,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Find equilibria and the social optimum: the price of anarchy."""
    from mfdsl.anarchy import anarchy as compared

    console = Console(json, quiet)
    game = api.load(spec, params=gather(set_, params))
    with searches(console) as told:
        found = compared(
            game,
            tolerance=tol,
            iterations=iterations,
            starts=starts,
            seed=seed,
            device=device.value,
            dtype=dtype.value,
            on_search=told,
        )
    _show(console, found, tol)
    entries = {"spec": game.compilation.name, **found.to_json()}
    if out is not None:
        asked = {"tol": tol, "iterations": iterations, "starts": starts, "seed": seed}
        entries["written"] = keep(console, game, "anarchy", out, asked, entries)
    console.json_object(entries)
    return FINE


def _show(console: Console, found: "Anarchy", tol: float) -> None:
    console.line("  equilibrium   exploitability   found by")
    for e in found.equilibria:
        far = "" if e.exploitability <= tol else "   (not an equilibrium to the tolerance)"
        by = e.solver if e.start == 0 else f"{e.solver}, start {e.start}"
        console.line(f"  {e.value:>11.8g}   {e.exploitability:>14.3g}   {by}{far}")
    known = "all pay the same, proved" if found.unique else "there may be others"
    console.line(f"  {known}")
    bound = "at most better by" if found.certified else "a stationary point; gain to first order"
    console.result(f"social optimum      {found.optimum:.8g}   ({bound} {found.gap:.3g})")
    if found.price is None:
        console.result(f"loss of anarchy     {found.loss:.8g}   (values have both signs: no ratio)")
        return
    known = {"exact": "", "lower_bound": "at least ", "estimate": "about "}[found.kind]
    console.result(f"price of anarchy    {known}{found.price:.10g}")
    console.result(f"price of stability  {found.stability:.10g}, of the best that was found")
