"""The suites of `python -m bench`: what each measures and the command that does it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A script, the arguments it takes in a run of everything, and what it prints."""

    name: str
    script: str
    arguments: tuple[str, ...]
    what: str


SUITES = (
    Suite("goals", "", (), "the goals table: ours, a peer's, the ratio, the goal"),
    Suite(
        "tabular",
        "tabular.py",
        ("--largest", "1000"),
        "an iteration of mirror descent and an exploitability beside MFGLib and OpenSpiel",
    ),
    Suite(
        "agreement",
        "peers_agree.py",
        (),
        "exploitabilities pair by pair with those of MFGLib and OpenSpiel",
    ),
    Suite("simulators", "simulators.py", ("finite",), "agent-steps of games of N agents"),
    Suite("certificates", "analysis.py", (), "brackets of Lipschitz constants, and their times"),
)
