"""The verb that compares equilibria with the social optimum: anarchy."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.cli.kept import keep
from mfdsl.cli.progress import searches
from mfdsl.entries import arrays_of
from mfdsl.parameters import check_sweep, combinations, gather, read_sweeps
from mfdsl.swept import check_point

if TYPE_CHECKING:
    from mfdsl.anarchy import Anarchy
    from mfdsl.game import Game
    from mfdsl.parameters import Sweep as Swept

Place = tuple[tuple[str, float], ...]
KNOWN = {"exact": "", "lower_bound": "at least ", "estimate": "about "}
Sweep = Annotated[
    list[str],
    typer.Option(
        "--sweep",
        metavar="NAME=A:B:N",
        help="One row for each of n values of a parameter from a to b, or NAME=V1,V2 (repeatable).",
    ),
]


def anarchy(
    spec: options.Spec,
    transfer: Annotated[
        list[str],
        typer.Option(
            "--transfer",
            metavar="NAME",
            help="A reward or cost that players meet and welfare leaves out: a toll (repeatable).",
        ),
    ] = [],  # noqa: B006
    tol: Annotated[
        float, typer.Option("--tol", min=0, help="What counts as an equilibrium.")
    ] = 1e-6,
    iterations: Annotated[int, typer.Option(min=0, help="Of each solver, at most.")] = 1000,
    starts: Annotated[int, typer.Option(min=1, help="Policies to begin from.")] = 3,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    sweep: Sweep = [],  # noqa: B006
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
    points = _points(game, read_sweeps(sweep, set_))
    found = []
    for at in points.values():
        with searches(console) as told:
            found.append(
                compared(
                    at,
                    transfers=transfer,
                    tolerance=tol,
                    iterations=iterations,
                    starts=starts,
                    seed=seed,
                    device=device.value,
                    dtype=dtype.value,
                    on_search=told,
                )
            )
    entries = {"spec": game.compilation.name}
    entries |= _games(console, list(points), found) if sweep else _show(console, found[0], tol)
    if out is not None:
        asked: dict[str, Any] = {"transfer": transfer, "sweep": sweep, "tol": tol}
        asked |= {"iterations": iterations, "starts": starts, "seed": seed}
        entries |= keep(console, game, "anarchy", out, asked, entries)
    console.json_object(entries)
    return FINE


def _points(game: "Game", sweep: "Swept") -> "dict[Place, Game]":
    """The game at each point of a sweep, the spec compiled at its values; one without a sweep.

    Raises:
        CompileError: the spec has errors at a point, which its notes name.
        UsageError: a name is no parameter that may be swept, or a value is outside of its range.
    """
    if not sweep:
        return {(): game}
    check_sweep(game.model, sweep)
    whole = {p.name for p in game.model.parameters if game.model.types[p.type].kind == "int"}
    found = {}
    for point in combinations(sweep):
        values = {n: int(v) if arrays_of([n])[0] in whole else v for n, v in point.items()}
        check_point(game, game.parameters, values)
        given = {**game.parameters, **values}
        found[tuple(values.items())] = replace(
            game, compilation=game.compiled_at(given), parameters=given
        )
    return found


def _games(console: Console, points: Sequence[Place], found: "Sequence[Anarchy]") -> dict[str, Any]:
    """One row for each point of a sweep on the screen, and as what `--json` prints."""
    _say_transfers(console, found[0])
    rows = []
    for at, each in zip(points, found, strict=True):
        price = "no ratio" if each.price is None else f"{KNOWN[each.kind]}{each.price:.8g}"
        worst = each.equilibria[0].value
        shown = (f"{v:.8g}" for v in (worst, each.optimum, each.loss))
        rows.append((*(f"{value:g}" for _, value in at), *shown, price))
    names = [name for name, _ in points[0]]
    console.table((*names, "equilibrium", "optimum", "loss", "price of anarchy"), rows)
    games = zip(points, found, strict=True)
    return {"games": [{"point": dict(at), **each.to_json()} for at, each in games]}


def _say_transfers(console: Console, found: "Anarchy") -> None:
    if found.transfers:
        named = ", ".join(f"`{name}`" for name in found.transfers)
        console.result(f"transfers           {named}: players meet them, values leave them out")


def _show(console: Console, found: "Anarchy", tol: float) -> dict[str, Any]:
    """Equilibria, the optimum and the price on the screen, and as what `--json` prints."""
    _say_transfers(console, found)
    console.line("  equilibrium   exploitability   found by")
    for e in found.equilibria:
        far = "" if e.exploitability <= tol else "   (not an equilibrium to the tolerance)"
        by = e.solver if e.start == 0 else f"{e.solver}, start {e.start}"
        if found.transfers:
            by += f"; transferred {e.transferred:.6g}"
        console.line(f"  {e.value:>11.8g}   {e.exploitability:>14.3g}   {by}{far}")
    known = "all pay the same, proved" if found.unique else "there may be others"
    console.line(f"  {known}")
    bound = "at most better by" if found.certified else "a stationary point; gain to first order"
    console.result(f"social optimum      {found.optimum:.8g}   ({bound} {found.gap:.3g})")
    if found.price is None:
        console.result(f"loss of anarchy     {found.loss:.8g}   (values have both signs: no ratio)")
        return found.to_json()
    rough = any(0 < e.exploitability <= tol for e in found.equilibria)
    near = f", of equilibria to {tol:g}" if rough and found.kind != "estimate" else ""
    console.result(f"price of anarchy    {KNOWN[found.kind]}{found.price:.10g}{near}")
    console.result(f"price of stability  {found.stability:.10g}, of the best that was found")
    return found.to_json()
