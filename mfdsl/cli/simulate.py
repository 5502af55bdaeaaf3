"""The verb that lets agents play: simulate."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.parameters import gather

if TYPE_CHECKING:
    from mfdsl.runtime.views.particles import Simulation


def simulate(
    spec: options.OptionalSpec = None,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Play the policy of this run; uniform without."),
    ] = None,
    agents: Annotated[int | None, typer.Option(min=1, help="Agents in each game.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Games played side by side.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps; the horizon by default.")] = None,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    seed: options.Seed = 0,
    device: options.Device = options.DeviceChoice.cpu,
    dtype: options.Dtype = options.DtypeChoice.float64,
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Let N agents play and measure their returns."""
    from mfdsl import simulating

    console = Console(json, quiet)
    setting = simulating.setting(
        spec, policy, gather(set_, params), device=device.value, dtype=dtype.value
    )
    simulation = simulating.run_agents(
        setting, agents=agents, batch=batch, steps=steps, seed=seed, record_laws=out is not None
    )
    if out is not None:
        simulating.write_simulation(setting, simulation, out)
    player = "the uniform policy" if policy is None else f"the policy of {policy}"
    for label, text in _rows(simulation, player, out):
        console.fields([(label, text)])
    console.json_object(simulating.simulation_json(setting, simulation))
    return FINE


def _rows(simulation: "Simulation", player: str, out: Path | None) -> Iterator[tuple[str, str]]:
    games = f" in each of {simulation.batch:,} games" if simulation.batch > 1 else ""
    agents = f"{simulation.agents:,} agent{'' if simulation.agents == 1 else 's'}{games}"
    yield "simulated", f"{agents} for {simulation.steps:,} steps under {player}"
    yield "return", f"{simulation.mean:.6g} ± {simulation.std_error:.2g} (standard error)"
    yield "speed", f"{simulation.agent_steps_per_second:,.0f} agent steps a second"
    if out is not None:
        yield "written", f"{out}/  laws.npz  simulation.json"
