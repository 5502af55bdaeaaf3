"""The verb for mixtures of policies that nobody gains by leaving: correlate."""

from functools import partial
from typing import Annotated, Any

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.cli.kept import keep
from mfdsl.parameters import gather

SHOWN = 12


def correlate(
    spec: options.Spec,
    iterations: Annotated[int, typer.Option(min=0, help="Of mirror descent.")] = 100,
    tol: Annotated[float, typer.Option("--tol", min=0, help="Stop at this coarse gap.")] = 1e-6,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Step; / sqrt(k + 1) at k.")] = 1.0,
    agents: Annotated[
        int | None, typer.Option(min=1, help="Play so many agents, all on one draw.")
    ] = None,
    games: Annotated[int, typer.Option(min=2, help="Games to play.")] = 32,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    seed: options.Seed = 0,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Find a coarse correlated equilibrium: a mixture of policies, one draw for everybody."""
    from mfdsl.correlated import correlate as mixed, play, save_mixture

    console = Console(json, quiet)
    game = api.load(spec, params=gather(set_, params))
    mixture = mixed(game, iterations=iterations, tolerance=tol, rate=rate)
    weights = mixture.weights.tolist()
    console.result(
        f"coarse gap {mixture.coarse_gap:.3g} (exact), {len(weights)} policies, value "
        f"{mixture.value:.8g}"
    )
    console.line(f"  one gains {mixture.gap:.3g} with sight of what is recommended")
    listed = ", ".join(f"{weight:.3g}" for weight in weights[:SHOWN])
    console.line(f"  weights {listed}{', ...' if len(weights) > SHOWN else ''}")
    entries: dict[str, Any] = {
        "spec": game.compilation.name,
        "coarse_gap": mixture.coarse_gap,
        "gap": mixture.gap,
        "value": mixture.value,
        "weights": weights,
        "regret": mixture.regret,
        "iterations": mixture.iterations,
    }
    if agents is not None:
        played = play(game, mixture, agents=agents, games=games, seed=seed)
        console.result(
            f"return {played.mean:.6g} ± {played.std_error:.2g} of {agents:,} agents in "
            f"{games:,} games, one draw each"
        )
        entries["played"] = {
            "mean": played.mean,
            "std_error": played.std_error,
            "agents": agents,
            "games": games,
            "drawn": list(played.drawn),
        }
    if out is not None:
        asked = {"iterations": iterations, "tol": tol, "rate": rate, "seed": seed}
        arrays = ("mixture.npz", partial(save_mixture, mixture))
        entries |= keep(console, game, "correlate", out, asked, entries, arrays)
    console.json_object(entries)
    return FINE
