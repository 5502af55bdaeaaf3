"""The catalogue of messages: one row for each code, with its headline, severity and stage.

The rows feed `mfdsl explain`, the rules of the SARIF output and the tests; the wording of one
message is chosen where the fault is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mfdsl.compiler.diagnostics import Severity

Stage = Literal[
    "syntax",
    "names",
    "types",
    "domains",
    "mean field",
    "claims",
    "cycles",
    "limits",
    "lints",
    "use",
]


@dataclass(frozen=True, slots=True)
class Code:
    """One row: the code, its headline in general terms, how bad it is and who reports it."""

    code: str
    title: str
    severity: Severity
    stage: Stage


def _rows(stage: Stage, severity: Severity, titles: Mapping[int, str]) -> tuple[Code, ...]:
    return tuple(Code(f"MFG{n:03}", title, severity, stage) for n, title in titles.items())


_ROWS = (
    *_rows(
        "syntax",
        "error",
        {
            1: "something is missing before this construct is complete",
            2: "missing operator between two values",
            3: "a bracket, a brace or a quote is never closed",
            4: "a declaration must start on its own line",
            5: "a keyword cannot be used as a name",
            6: "this word does not begin a declaration",
            7: "this operator belongs to another language",
            8: "this letter is neither Latin nor Greek",
            9: "numbers need a digit before and after the point",
            10: "the rows of the map do not fit together",
            11: "cannot import this file",
            12: "the file is not UTF-8 text",
            13: "cannot read the file",
        },
    ),
    *_rows(
        "names",
        "error",
        {
            101: "unknown name",
            102: "the name is already taken",
            103: "the name has several owners",
            104: "a name of the language cannot be redefined",
            105: "this value is private to another player",
            106: "the population has no handle",
            107: "there is no such part",
            108: "a next value is given for something that is not a state",
            109: "a state is never updated",
            110: "a state is updated twice",
            111: "the model lacks a declaration that every model needs",
            112: "the setting has no such choice",
            113: "this does not belong into this kind of block",
        },
    ),
    *_rows(
        "types",
        "error",
        {
            201: "the value has the wrong type",
            202: "wrong shape or number of indices",
            204: "the `match` does not cover every value",
            205: "the branches have different types",
            206: "wrong arguments for the function",
            207: "a distribution stands where a value is needed",
            208: "continuous values are compared for equality",
            209: "a size depends on something that is not an integer parameter",
            210: "a function calls itself",
            211: "this value is not known before the run",
            212: "an index is outside the array",
            213: "a size, a count or a discount is out of range",
        },
    ),
    *_rows(
        "domains",
        "error",
        {
            301: "weights can add up to more than 1",
            302: "a weight can be negative",
            303: "a value may leave its domain",
            304: "an operation is undefined for some values",
            305: "a law without bounds fills a bounded domain",
            306: "no action is legal in some state",
            307: "a parameter is outside its range, or an assumption fails",
            308: "a standard deviation can be negative",
        },
    ),
    *_rows(
        "mean field",
        "error",
        {
            401: "agents of a population have no names",
            402: "this grows with the number of agents",
            403: "a single point has no mass in a continuous law",
            404: "a family or a single player stands where a population is needed",
            405: "the condition can have probability 0",
            406: "observes something private to each agent",
            407: "a weight is no factor of what a mean averages",
        },
    ),
    *_rows(
        "claims",
        "error",
        {
            501: "steeper than the constant that is required",
            502: "not Lipschitz: it jumps",
            504: "not Lipschitz: its slope has no bound",
            505: "the reward is not monotone in the law",
            506: "the game is not invariant under this map",
            507: "agents are less alike than is required",
            508: "the game is not linear-quadratic",
            509: "a `require` could not be decided",
            510: "not Lipschitz: it grows faster than linearly where nothing bounds it",
            511: "a value leaves the range that is required of it",
            512: "the reward has no potential",
            513: "depends on the law, and is required not to",
        },
    ),
    *_rows("cycles", "error", {601: "names define each other within one step"}),
    *_rows(
        "limits",
        "error",
        {
            701: "the model has too many states for exact tables",
            702: "nested too deeply",
            703: "the spec is too large",
            705: "a data file does not fit what reads it",
        },
    ),
    *_rows(
        "lints",
        "warning",
        {
            801: "the name is never used",
            802: "the condition is always true, or never",
            803: "nothing depends on the population",
            804: "a pairwise term costs N squared per step",
            805: "a cost is never positive",
        },
    ),
    *_rows(
        "use",
        "error",
        {
            901: "the model has no such parameter",
            903: "a value became infinite or undefined during the run",
            904: "a proved bound was exceeded at run time",
        },
    ),
)

CODES: Mapping[str, Code] = MappingProxyType({row.code: row for row in _ROWS})
