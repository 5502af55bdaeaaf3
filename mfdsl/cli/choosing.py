"""Verbs that choose parameters of a crowd: stackelberg for a leader, clear for a market."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE
from mfdsl.entries import listed
from mfdsl.errors import UsageError
from mfdsl.files import check_place, write_text
from mfdsl.parameters import gather, read_settings

if TYPE_CHECKING:
    from mfdsl.clearing import Clearing
    from mfdsl.crowd import Values
    from mfdsl.leading import Stackelberg

MOST_SHOWN = 12  # entries of an array
Out = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="FILE", help="TOML file for --params.")
]
Temperature = Annotated[
    float, typer.Option("--temperature", help="Of the crowd's logit equilibrium.")
]


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
    temperature: Temperature = 0.1,
    evaluations: Annotated[
        int, typer.Option(min=1, help="Equilibria to find from each start, at most.")
    ] = 200,
    starts: Annotated[int, typer.Option(min=1, help="Searches; all but one from chance.")] = 1,
    set_: options.Set = [],  # noqa: B006
    params: options.Params = None,
    seed: options.Seed = 0,
    out: Out = None,
    device: options.Device = options.DeviceChoice.cpu,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Choose parameters that are best for a leader at the crowd's equilibrium: tolls, taxes."""
    console = Console(json, quiet)
    check_place(out)
    found = api.stackelberg(
        api.load(spec, params=gather(set_, params)),
        listed(choose),
        weights=_weights(weigh),
        temperature=temperature,
        evaluations=evaluations,
        starts=starts,
        seed=seed,
        device=device.value,
    )
    _show_rule(console, found)
    return _end(console, spec, found, out)


def clear(
    spec: options.Spec,
    choose: Annotated[
        str, typer.Option("--choose", metavar="NAMES", help="Prices: parameters of the spec.")
    ],
    meet: Annotated[
        str,
        typer.Option("--meet", metavar="TERMS", help="Rewards or costs that are to be 0: excess."),
    ],
    temperature: Temperature = 0.1,
    evaluations: Annotated[int, typer.Option(min=1, help="Equilibria to find, at most.")] = 100,
    set_: options.Set = [],  # noqa: B006
    params: options.Params = None,
    out: Out = None,
    device: options.Device = options.DeviceChoice.cpu,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Find prices that clear markets at the crowd's equilibrium: where terms of the spec are 0."""
    console = Console(json, quiet)
    check_place(out)
    found = api.clear(
        api.load(spec, params=gather(set_, params)),
        listed(choose),
        listed(meet),
        temperature=temperature,
        evaluations=evaluations,
        device=device.value,
    )
    _show_prices(console, found)
    return _end(console, spec, found, out)


def _end(console: Console, spec: str, found: "Stackelberg | Clearing", out: Path | None) -> int:
    """Write the file and the object that were asked for; the exit code."""
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


def _show_rule(console: Console, found: "Stackelberg") -> None:
    _show_values(console, found.values)
    rows = [
        (name, f"{term.weight:g}", f"{term.before:.8g}", f"{term.after:.8g}")
        for name, term in found.terms.items()
    ]
    rows.append(("leader", "", f"{found.before:.8g}", f"{found.value:.8g}"))
    console.table(("term", "weight", "before", "under the rule"), rows)
    _show_followers(console, found)
    if found.flat:
        console.line(
            "flat       the value has no slope at the first values, which may be its best, its "
            "worst or of no concern to it: try --starts 5, or others with --set"
        )
    if not found.converged:
        console.line(
            f"stopped    where the value still rises by {found.slope:.3g} along a range: give more "
            "--evaluations, or a higher --temperature"
        )


def _show_prices(console: Console, found: "Clearing") -> None:
    _show_values(console, found.values)
    what = "at most, at any stage" if found.each_stage else "in the sum over stages"
    for name, left in found.left.items():
        before = found.before[name]
        console.result(f"left       {name} {left:.3g} {what}, before {before:.3g}")
    _show_followers(console, found)
    if found.converged and found.free:
        console.line(
            f"not alone  along {found.free} direction{'s' * (found.free > 1)} in the prices the "
            "terms do not move: other prices next to these may clear as well"
        )
    if not found.converged:
        console.line(f"stopped    where the terms are not 0: {_way_out(found)}")


def _way_out(found: "Clearing") -> str:
    """What may help where markets do not clear."""
    numbers = sum(len(v) if isinstance(v, tuple) else 1 for v in found.values.values())
    if found.free == numbers:
        return (
            "no price moves them here; take other first values with --set, a higher --temperature"
        )
    if found.free:
        return "terms move together, so no prices may meet them all; meet others, or choose others"
    if found.at_end:
        return "prices are at an end of their range; none may clear, or give the spec wider ones"
    return "give more --evaluations or a higher --temperature; there may be no such prices"


def _show_values(console: Console, values: "Values") -> None:
    console.table(("parameter", "value"), [(name, _shown(v)) for name, v in values.items()])


def _show_followers(console: Console, found: "Stackelberg | Clearing") -> None:
    console.line(
        f"followers  in logit equilibrium at temperature {found.temperature:g}: "
        f"exploitability {found.exploitability:.3g}"
    )
    if found.at_end:
        names = ", ".join(found.at_end[:MOST_SHOWN])
        more = f" and {len(found.at_end) - MOST_SHOWN} more" * (len(found.at_end) > MOST_SHOWN)
        console.line(f"at an end  {names}{more}: the range in the spec keeps them there")


def _shown(value: float | tuple[float, ...]) -> str:
    if not isinstance(value, tuple):
        return f"{value:.8g}"
    numbers = ", ".join(f"{each:.6g}" for each in value[:MOST_SHOWN])
    return f"[{numbers}{', ...' if len(value) > MOST_SHOWN else ''}]"
