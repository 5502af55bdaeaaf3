"""The verbs by name, in the order of `mfdsl --help`: the file of each, and the line about it there.

A verb is loaded when it is named, since none needs the files of all the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast


@dataclass(frozen=True, slots=True)
class Verb:
    """A function with the name of the verb in a file of `mfdsl/cli/`; `summary` begins its text."""

    file: str
    summary: str


VERBS = {
    "check": Verb("check", "Check specs and every `require` in them."),
    "recheck": Verb("recheck", "Check a proof again, without a search."),
    "compile": Verb("compile", "Compile a spec into a model and a torch module."),
    "solve": Verb("solve", "Compute an equilibrium and its exploitability."),
    "simulate": Verb("simulate", "Let N agents play and measure their returns."),
    "validate": Verb(
        "validate",
        "Play a game against its tables, its certificates, its limit and its equilibrium.",
    ),
    "reproduce": Verb(
        "reproduce",
        "Train and measure the experiments of a paper beside known figures; list them without one.",
    ),
    "fmt": Verb("check", "Format specs in place; comments stay."),
    "fix": Verb("check", "Apply the helps that mend a spec."),
    "explain": Verb("check", "Explain the code of a diagnostic."),
    "lsp": Verb("lsp", "Speak the Language Server Protocol to an editor that starts this."),
    "new": Verb("compile", "Write a commented spec to start from."),
    "graph": Verb("draw", "Draw who depends on what: players as clusters, reads of a law dashed."),
    "render": Verb(
        "draw", "Write the game as a report: sets, dynamics, rewards, parameters, certificates."
    ),
    "anarchy": Verb("anarchy", "Find equilibria and the social optimum: the price of anarchy."),
    "simplex": Verb(
        "simplex",
        "Solve a game of one population and a major on a grid of laws, exactly on that grid.",
    ),
    "correlate": Verb(
        "correlate",
        "Find a coarse correlated equilibrium: a mixture of policies, one draw for everybody.",
    ),
    "stackelberg": Verb(
        "choosing",
        "Choose parameters that are best for a leader at the crowd's equilibrium: tolls, taxes.",
    ),
    "clear": Verb(
        "choosing",
        "Find prices that clear markets at the crowd's equilibrium: where terms of the spec are 0.",
    ),
    "calibrate": Verb("calibrate", "Fit parameters to an observed flow, in logit equilibrium."),
    "table": Verb(
        "calibrate",
        "Write the flow, policy, games or pasts of runs as one table with named columns.",
    ),
    "report": Verb(
        "report",
        "Write a run as one HTML file: the game, what is proved, the result, plots, papers.",
    ),
    "cite": Verb(
        "report", "Print BibTeX of the papers behind a run, its game's among them, and of mfdsl."
    ),
    "solvers": Verb(
        "solvers",
        "List the solvers; with a spec, which are proved to work on it and why not the others.",
    ),
    "specs": Verb("tables", "List the games that come with mfdsl."),
    "doctor": Verb("tables", "Print versions, devices and optional parts."),
}


def load(name: str) -> Callable[..., int | None]:
    """The function of a verb."""
    file = import_module(f"mfdsl.cli.{VERBS[name].file}")
    return cast(Callable[..., int | None], getattr(file, name))
