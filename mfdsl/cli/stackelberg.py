"""The verb that chooses parameters for a leader: stackelberg."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE
from mfdsl.errors import UsageError
from mfdsl.files import write_text
from mfdsl.parameters import gather, read_settings

if TYPE_CHECKING:
    from mfdsl.leading import Stackelberg

MOST_SHOWN = 12  # entries of an array


def stackelberg(
    spec: options.Spec,
    choose: Annotated[
        str, typer.Option("--choose", metavar="NAMES", help="The leader's parameters: toll,bonus.")
    ],
    weigh: Annotated[
        list[str],
        typer.Option(
            "--weigh",
            metavar="TERM=WEIGHT",
            help="What a reward or cost of the crowd is worth to the leader, 1 if not given: "
            "`--weigh toll=0` leaves a transfer out, -1 is what the leader pays (repeatable).",
        ),
    ] = [],  # noqa: B006  the command line reads it, nothing changes it
    temperature: Annotated[
        float, typer.Option("--temperature", help="Of the crowd's logit equilibrium.")
    ] = 0.1,
    evaluations: Annotated[
        int, typer.Option(min=1, help="Equilibria to find from each start, at most.")
    ] = 200,
    starts: Annotated[int, typer.Option(min=1, help="Searches; all but one from chance.")] = 1,
    set_: options.Set = [],  # noqa: B006
    params: options.Params = None,
    seed: options.Seed = 0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="TOML file for --params.")
    ] = None,
    device: options.Device = options.DeviceChoice.cpu,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Choose parameters that are best for a leader at the crowd's equilibrium: tolls, taxes."""
    console = Console(json, quiet)
    found = api.stackelberg(
        api.load(spec, params=gather(set_, params)),
        [name.strip() for name in choose.split(",") if name.strip()],
        weights=_weights(weigh),
        temperature=temperature,
        evaluations=evaluations,
        starts=starts,
        seed=seed,
        device=device.value,
    )
    _show(console, found)
    if out is not None:
        write_text(out, found.as_toml())
        console.fields([("written", str(out))])
    console.json_object({"spec": spec, **found.to_json()})
    return FINE if found.converged else FAILED


def _weights(settings: list[str]) -> dict[str, float]:
    """The weights of `TERM=WEIGHT` settings.

    Raises:
        UsageError: a weight is no number.
    """
    found = {}
    for name, value in read_settings(settings, "--weigh", texts=True).items():
        if isinstance(value, str | tuple):
            raise UsageError(
                f"`--weigh {name}={value}` has no number", f"give one: `--weigh {name}=0`"
            )
        found[name] = float(value)
    return found


def _show(console: Console, found: "Stackelberg") -> None:
    console.table(("parameter", "value"), [(n, _shown(v)) for n, v in found.values.items()])
    rows = [
        (name, f"{term.weight:g}", f"{term.before:.8g}", f"{term.after:.8g}")
        for name, term in found.terms.items()
    ]
    console.table(("term", "weight", "before", "under the rule"), rows)
    console.result(f"leader     {found.value:.8g}, before {found.before:.8g}")
    console.line(
        f"followers  in logit equilibrium at temperature {found.temperature:g}: "
        f"exploitability {found.exploitability:.3g}"
    )
    if found.at_end:
        names = ", ".join(found.at_end[:MOST_SHOWN])
        more = f" and {len(found.at_end) - MOST_SHOWN} more" * (len(found.at_end) > MOST_SHOWN)
        console.line(f"at an end  {names}{more}: the range in the spec keeps them there")
    if not found.converged:
        console.line(
            f"stopped    where the value still rises by {found.slope:.3g} along a range: give more "
            "--evaluations, or a higher --temperature"
        )


def _shown(value: float | tuple[float, ...]) -> str:
    if not isinstance(value, tuple):
        return f"{value:.8g}"
    listed = ", ".join(f"{each:.6g}" for each in value[:MOST_SHOWN])
    return f"[{listed}{', ...' if len(value) > MOST_SHOWN else ''}]"
