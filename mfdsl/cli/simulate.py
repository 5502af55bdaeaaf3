"""The verb that lets agents play: simulate."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.compiler.driver import ParameterValue
from mfdsl.errors import UsageError, did_you_mean, unknown
from mfdsl.files import check_place
from mfdsl.parameters import gather

if TYPE_CHECKING:
    from mfdsl.runtime.simulator import Return, Rollout
    from mfdsl.runtime.views.particles import Simulation

MOST_DIGITS = 18


class ByChoice(StrEnum):
    """How agents are simulated: one by one, or by how many are where."""

    auto = "auto"
    agents = "agents"
    counts = "counts"


class ExecutionChoice(StrEnum):
    """Who draws the upper action of a planner: one for all, or everybody for oneself."""

    centralised = "centralised"
    decentralised = "decentralised"


Policy = Annotated[
    str,
    typer.Option(metavar="NAME|RUN", help="uniform, still, or the folder of a run."),
]
Execution = Annotated[
    ExecutionChoice | None,
    typer.Option(
        help="Draw what a planner (m3f_ppo) does, once for all or each agent for itself; by"
        " default its mean is played."
    ),
]
Agents = Annotated[
    list[str],
    typer.Option(metavar="N|NAME=N", help="Agents in each game; by name for several populations."),
]
By = Annotated[
    ByChoice,
    typer.Option(
        help="Move agents one by one, or count how many are where (finite games of agents whom"
        " nobody tells apart; any number for the same time). auto counts 100,000 and more."
    ),
]


@dataclass(frozen=True)
class _Asked:
    """A command line of simulate."""

    spec: str | None
    policy: str
    run: Path | None
    values: Mapping[str, ParameterValue]
    execution: ExecutionChoice | None
    agents: int | dict[str, int] | None
    by: ByChoice
    batch: int
    steps: int | None
    trace: tuple[str, ...]
    record: Path | None
    compile: bool
    seed: int
    device: options.DeviceChoice
    dtype: options.DtypeChoice
    out: Path | None


def simulate(
    spec: options.OptionalSpec = None,
    policy: Policy = "uniform",
    execution: Execution = None,
    agents: Agents = [],  # noqa: B006  the command line reads it, nothing changes it
    by: By = ByChoice.auto,
    batch: Annotated[int, typer.Option(min=1, help="Games played side by side.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps; the horizon by default.")] = None,
    trace: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Show the first steps of `person[0]` or `market`."),
    ] = [],  # noqa: B006  the command line reads it, nothing changes it
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all values to this npz file.")
    ] = None,
    compile: Annotated[bool, typer.Option("--compile", help="Compile the step first.")] = False,
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
    from mfdsl.simulating import has_tables

    console = Console(json, quiet)
    if record is not None and record.suffix != ".npz":
        raise UsageError(
            f"`--record {record}`: the values of all agents are written as an npz file",
            "end its name in .npz",
        )
    check_place(record)
    wanted = numbers(agents)
    values = gather(set_, params)
    run = _run(policy)
    asked = _Asked(
        spec,
        policy,
        run,
        values,
        execution,
        wanted,
        by,
        batch,
        steps,
        tuple(trace),
        record,
        compile,
        seed,
        device,
        dtype,
        out,
    )
    by_agents = bool(trace) or record is not None or compile
    if out is not None or (run is not None and not by_agents and has_tables(spec, run)):
        return _from_tables(console, asked)
    return _by_module(console, asked)


def _by_module(console: Console, asked: _Asked) -> int:
    """Any game, played by the module of its agents or of their counts."""
    from mfdsl.playing import Wanted, executed, play, play_json, played_by, trace_rows, write_record

    policy = asked.policy if asked.run is None else asked.run
    game, behaviour, named = played_by(asked.spec, policy, asked.values)
    if asked.execution is not None:
        behaviour = executed(behaviour, asked.execution.value)
        named = f"{named}, {asked.execution.value}"
    wanted = Wanted(
        agents=asked.agents,
        batch=asked.batch,
        steps=asked.steps,
        seed=asked.seed,
        device=asked.device.value,
        dtype=asked.dtype.value,
        compile=asked.compile,
        record=asked.record is not None,
        trace=asked.trace,
        by=asked.by.value,
    )
    rollout = play(game, behaviour, wanted)
    if asked.record is not None:
        write_record(rollout, asked.record)
    for label, text in _played(rollout, named, asked.record):
        console.fields([(label, text)])
    if asked.trace:
        console.line()
        console.table(*trace_rows(game, rollout, asked.trace))
    console.json_object(play_json(game, rollout, asked.run))
    return FINE


def numbers(agents: list[str]) -> int | dict[str, int] | None:
    """Numbers of agents from `300` or `drone=300`.

    Raises:
        UsageError: a number is not a whole number from 1 to 10^18, or a name comes twice.
    """
    found: dict[str, int] = {}
    for text in agents:
        name, _, number = text.rpartition("=")
        if not (number.isascii() and number.isdigit()) or int(number[:MOST_DIGITS]) < 1:
            raise UsageError(
                f"'--agents': `{text}` is no number of agents",
                "write it with digits alone: `--agents 1000`",
            )
        if len(number) > MOST_DIGITS:
            raise UsageError(f"'--agents': {len(number)} digits are too many", "simulate fewer")
        if name in found:
            raise UsageError(f"'--agents': `{name or number}` is given twice", "leave one out")
        found[name] = int(number)
    if "" in found:
        return found[""] if len(found) == 1 else _mixed()
    return found or None


def _mixed() -> int:
    raise UsageError("one number of agents, or one for each population", "`--agents drone=300`")


def _one(wanted: int | dict[str, int] | None, populations: list[str]) -> int | None:
    """The number for the population of a game with tables."""
    if not isinstance(wanted, dict):
        return wanted
    for name in wanted:
        if name not in populations:
            raise unknown("population", name, populations)
    if len(set(wanted.values())) > 1:
        raise UsageError("tables have one number of agents", "`--agents 1000`")
    return next(iter(wanted.values()))


def _run(policy: str) -> Path | None:
    """The folder of a run, None for the name of a behaviour."""
    if policy in ("uniform", "still"):
        return None
    path = Path(policy)
    if not path.exists():
        raise UsageError(
            f"`{policy}` is not a run folder",
            did_you_mean(policy, ("uniform", "still")) or "policies by name: uniform, still",
        )
    return path


def _refuse(flags: Mapping[str, object]) -> None:
    for flag, given in flags.items():
        if given:
            raise UsageError(f"`{flag}` does not go with `-o`", "leave one of them out")


def _from_tables(console: Console, asked: _Asked) -> int:
    """The policy of a run of a tabular game, or its laws under the uniform policy."""
    from mfdsl import simulating

    _refuse({"--trace": asked.trace, "--record": asked.record, "--compile": asked.compile})
    if asked.execution is not None:
        raise UsageError("nobody plans in a game that is played on tables", "leave out --execution")
    if asked.policy == "still":
        raise UsageError("`-o` writes laws under the uniform policy", "leave out --policy")
    run, out = asked.run, asked.out
    setting = simulating.setting(
        asked.spec, run, asked.values, device=asked.device.value, dtype=asked.dtype.value
    )
    simulation = simulating.run_agents(
        setting,
        agents=_one(asked.agents, [p.name for p in setting.game.model.populations]),
        batch=asked.batch,
        steps=asked.steps,
        seed=asked.seed,
        record_laws=out is not None,
        by=asked.by.value,
    )
    if out is not None:
        simulating.write_simulation(setting, simulation, out)
    player = "the uniform policy" if run is None else f"the policy of {run}"
    for label, text in _rows(simulation, player, out):
        console.fields([(label, text)])
    console.json_object(simulating.simulation_json(setting, simulation))
    return FINE


def _played(rollout: "Rollout", policy: str, record: Path | None) -> Iterator[tuple[str, str]]:
    games = f" in each of {rollout.batch:,} games" if rollout.batch > 1 else ""
    many = " and ".join(f"{n:,} {name}" for name, n in rollout.agents.items()) or "nobody"
    yield "simulated", f"{many}{games} for {rollout.steps:,} steps under {policy}{_how(rollout)}"
    for name, found in rollout.returns.items():
        yield "return", f"{name}: {_measured(found, rollout.batch)}"
        terms = next((v for k, v in rollout.terms.items() if k == name), {})
        for term, value in terms.items() if len(terms) > 1 else ():
            yield "", f"  {term}: {value:.6g}"
    if rollout.team is not None and len(rollout.returns) > 1:
        yield "return", f"team: {_measured(rollout.team, rollout.batch)}"
    yield "speed", _speed(rollout)
    if record is not None:
        yield "written", str(record)


def _how(done: "Rollout | Simulation") -> str:
    return ", by counts" if done.by == "counts" else ""


def _speed(done: "Rollout | Simulation") -> str:
    if done.by == "counts":
        return f"{done.steps * done.batch / done.seconds:,.0f} steps of everybody a second"
    return f"{done.agent_steps_per_second:,.0f} agent steps a second"


def _measured(found: "Return | Simulation", games: int) -> str:
    if math.isnan(found.std_error):
        return f"{found.mean:.6g} (one game: no standard error)"
    # agents of one game share its shocks, which their spread does not show
    over = "over games" if games > 1 else "over the agents of one game"
    return f"{found.mean:.6g} ± {found.std_error:.2g} (standard error {over})"


def _rows(simulation: "Simulation", player: str, out: Path | None) -> Iterator[tuple[str, str]]:
    games = f" in each of {simulation.batch:,} games" if simulation.batch > 1 else ""
    agents = f"{simulation.agents:,} agent{'' if simulation.agents == 1 else 's'}{games}"
    how = _how(simulation)
    yield "simulated", f"{agents} for {simulation.steps:,} steps under {player}{how}"
    yield "return", _measured(simulation, simulation.batch)
    yield "speed", _speed(simulation)
    if out is not None:
        yield "written", f"{out}/  laws.npz  simulation.json"
