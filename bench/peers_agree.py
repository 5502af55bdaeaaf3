"""Compares our exploitabilities with those of MFGLib and OpenSpiel, pair by pair.

`python bench/peers_agree.py` uses the figures kept in `bench/data/peers.json`; `--live` runs the
packages installed beside this one; `--markdown FILE` also writes the table. Exit status 1 when a
pair that ought to agree does not.
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peer_figures import Figures, installed, kept, measured
from peer_pairs import PAIRS, Pair
from peer_policies import has_policy, peer_policy
from peer_reasons import CRASH, known_reason

from mfdsl.game import load
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.loop import solve

CHECKOUT = Path(__file__).parents[1]
TOLERANCE = {"mfglib": (1e-4, 1e-6), "mfglib64": (1e-9, 1e-9), "openspiel": (1e-9, 1e-9)}
# what rounding may do to the score of one policy, whose values are of size 100
CARRIED = {"mfglib": 1e-4, "mfglib64": 1e-9, "openspiel": 1e-9}
LABELS = {"mfglib": "MFGLib", "mfglib64": "MFGLib, float64", "openspiel": "OpenSpiel"}


@dataclass(frozen=True)
class Row:
    """A compared pair.

    `agree_until` is the last iteration up to which all figures agree. Where they part, `carried`
    is our exploitability of the peer's own policy at the next one, when it could be had.
    """

    pair: Pair
    theirs: Figures
    ours: Figures
    agree_until: int | None
    gap: float
    carried: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether all figures do."""
        return self.agree_until == max(self.theirs, default=-1)

    @property
    def parts_at(self) -> int:
        """The first iteration at which the figures differ."""
        return min(k for k in self.theirs if self.agree_until is None or k > self.agree_until)

    @property
    def verdict(self) -> str:
        """One word: agrees, differs (for a known reason), WRONG, or no figure."""
        if not self.theirs:
            return "no figure"
        if self.agrees:
            return "agrees"
        if self.carried is not None:
            figure = self.theirs[self.parts_at]
            if abs(self.carried - figure) > CARRIED[self.pair.peer] * max(1, abs(figure)):
                return "WRONG"
        return "differs" if known_reason(self.pair) else "WRONG"


def close(peer: str, ours: float, theirs: float) -> bool:
    """Whether two figures agree by the measure of that peer."""
    relative, absolute = TOLERANCE[peer]
    return abs(ours - theirs) <= max(relative * abs(theirs), absolute)


@functools.cache
def program_of(spec: str) -> Program:
    """The compiled spec; raises CompileError with its messages when it does not check."""
    return load(CHECKOUT / spec).program


@functools.cache
def our_trace(spec: str, solver: str, options: tuple[tuple[str, float | str], ...], last: int):
    """Exploitability at every iteration up to the last, in float64."""
    solution = solve(
        program_of(spec), None, solver, dict(options), iterations=last, tolerance=-1, patience=None
    )
    return {record.iteration: record.exploitability for record in solution.history}


def compare(pair: Pair, theirs: Figures) -> Row:
    """Our figures beside theirs, with the relative gap at the iteration where they part."""
    trace = our_trace(pair.spec, pair.solver, tuple(pair.options.items()), max(pair.iterations))
    ours = {k: trace[k] for k in pair.iterations}
    until, gap = None, 0.0
    for k, figure in sorted(theirs.items()):
        distance = abs(ours[k] - figure)
        relative = distance / max(abs(figure), 1e-12)
        if not close(pair.peer, ours[k], figure):
            return Row(pair, theirs, ours, until, relative)
        until, gap = k, max(gap, min(distance, relative))
    return Row(pair, theirs, ours, until, gap)


def with_carried(row: Row) -> Row:
    """The row with our exploitability of the peer's own policy where the two part."""
    if row.agrees or not row.theirs or not has_policy(row.pair):
        return row
    view = build_view(program_of(row.pair.spec))
    uniform = view.uniform().probs
    probs = torch.tensor(peer_policy(row.pair, row.parts_at, tuple(uniform.shape[1:])))[None]
    entered = probs.sum(-1, keepdim=True) > 0
    policy = view.policy(torch.where(entered, probs, uniform))
    return replace(row, carried=Evaluation(view, policy).exploitability.value)


def rows(live: bool) -> list[Row]:
    """All pairs; live leaves out the peers that are not installed."""
    stored = {} if live else kept()
    result = []
    for pair in PAIRS:
        if live and not installed(pair.peer):
            continue
        try:
            theirs = measured(pair) if live else stored.get(pair.key, {})
        except (RuntimeError, KeyError):
            theirs = {}
        row = compare(pair, theirs)
        result.append(with_carried(row) if live else row)
        print(line(result[-1]), file=sys.stderr, flush=True)
    return result


def line(row: Row) -> str:
    """One row of the table in Markdown."""
    pair, last = row.pair, max(row.pair.iterations)
    theirs = f"{row.theirs[last]:.6g}" if row.theirs else "raises an error"
    options = " ".join(f"{k}={v}" for k, v in pair.options.items())
    until = "-" if row.agree_until is None else str(row.agree_until)
    why = "" if row.agrees else known_reason(pair) if row.theirs else CRASH
    if row.carried is not None:
        why += (
            f". Of the peer's own policy at k = {row.parts_at} it says "
            f"{row.theirs[row.parts_at]:.10g} and we say {row.carried:.10g}"
        )
    cells = (
        LABELS[pair.peer], pair.peer_game, pair.algorithm, pair.spec,
        f"{pair.solver} {options}".strip(), str(last), theirs, f"{row.ours[last]:.6g}", until,
        f"{row.gap:.1e}" if row.theirs else "-", row.verdict, why,
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


HEAD = """| peer | its game | its algorithm | our spec | our solver | k | theirs at k | ours at k \
| agree up to | gap | verdict | which side is wrong, and why |
|---|---|---|---|---|---|---|---|---|---|---|---|"""
PAGE = """# Agreement with MFGLib and OpenSpiel

Written by `python bench/peers_agree.py --live --markdown docs/peers.md`. Exploitability
(NashConv) of the same algorithm with the same options after k iterations, from the uniform
policy; the iterations compared are {iterations}. MFGLib 0.3.0 agrees when within 1e-4 relative
or 1e-6 absolute (it computes in float32); with torch's default set to float64, and OpenSpiel
2.0.2, when within 1e-9. `gap` is the relative gap where a pair first differs, else the largest.
Where a pair parts, both sides also score the peer's own policy: the same number means the same
game. Greedy responses share ties as MFGLib means to, or take the first as OpenSpiel means to
(`ties=first`). `random_linear` has no float64 row: there MFGLib draws other tables.

{counts}

"""


def page(table: Sequence[Row]) -> str:
    """The page kept in docs."""
    verdicts = [row.verdict for row in table]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    marks = ", ".join(str(k) for k in sorted({k for row in table for k in row.pair.iterations}))
    head = PAGE.format(iterations=marks, counts=f"{len(table)} pairs: {counts}.")
    return head + "\n".join([HEAD, *map(line, table)]) + "\n"


def main() -> int:
    """Print all rows; 1 where a peer and ours differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", action="store_true", help="run the installed peers")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = rows(arguments.live)
    print(page(table))
    if arguments.markdown:
        arguments.markdown.write_text(page(table), encoding="utf-8")
    return int(any(row.verdict == "WRONG" for row in table))


if __name__ == "__main__":
    sys.exit(main())
