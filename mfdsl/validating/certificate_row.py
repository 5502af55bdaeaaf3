"""The certificate among finitely many agents as a check: no simulated gain lies above it.

A gain is the mean over independent games of what lies between minus and plus the cap, so that its
lower end by the empirical Bernstein bound (Maurer and Pontil 2009, arXiv:0907.3740) is above a
valid certificate with probability at most FALSE_ALARM.
"""

import math
from collections.abc import Sequence

from mfdsl.errors import UsageError
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.validating.certified import Among, FinitePopulation
from mfdsl.validating.excess import CODE
from mfdsl.validating.finite_population import check_covered, finite_population_report
from mfdsl.validating.gains import Gain
from mfdsl.validating.outcome import Excess, Row, Trial

NAME = "bound among N"
CURVE = (10**4, 10**5, 10**6)  # besides the numbers that are simulated
FALSE_ALARM = 1e-9
ROUNDING = 1e-9


def certificate_row(
    trial: Trial, gains: Sequence[Gain]
) -> tuple[Row, tuple[Excess, ...], FinitePopulation | None]:
    """The certificate of the policy beside the gains that were simulated."""
    if trial.policy == "still":
        return Row(NAME, "not applicable", "the policy has no table"), (), None
    numbers = sorted({*(n for n in trial.agents if n >= 2), *(g.agents for g in gains), *CURVE})
    try:
        policy = _policy(trial)
        report = finite_population_report(trial.game, policy, numbers, trial.gain, trial.seed)
    except UsageError as error:
        return Row(NAME, "not applicable", str(error).splitlines()[0]), (), None
    except ValueError as error:  # the theorems have fewer cases than the tables
        return Row(NAME, "not applicable", str(error)), (), None
    found = [] if trial.game.program.grids else _exceeding(trial, report, gains)
    detail = "; ".join(_words(among) for among in report.players)
    if found:
        where = found[0]
        detail = f"{CODE}: a simulated gain of {where.subject} is {where.found:.4g} at least"
        detail += f", beyond {where.bound:.4g}"
    row = Row(NAME, "failed" if found else "passed", detail, table=report.text())
    return row, tuple(found), report


def _policy(trial: Trial) -> TabularPolicy:
    if trial.table is not None:
        return trial.table
    check_covered(trial.game)
    return build_view(trial.game.program, trial.game.program.params()).uniform()


def _words(among: Among) -> str:
    """What is certified at the largest number of agents that was asked for, and what it says."""
    telling = [s for s in among.sizes if not s.vacuous]
    if not telling:
        last = among.sizes[-1]
        return (
            f"nothing is certified up to {last.players:,} {among.player}: the cap is {last.cap:.4g}"
        )
    first = telling[0]
    return f"{among.player} gains at most {first.worst:.4g} among {first.players:,}"


def _exceeding(trial: Trial, report: FinitePopulation, gains: Sequence[Gain]) -> list[Excess]:
    """Simulated gains whose lower ends lie above the certificate for as many agents."""
    found = []
    for among in report.players:
        at = {size.players: size for size in among.sizes}
        means = [
            (g.agents, g.mean, g.std_error, g.games) for g in gains if g.population == among.player
        ]
        if among.simulated is not None:
            s = among.simulated
            means.append((s.players, s.mean, s.std_error, s.games))
        for agents, mean, error, games in means:
            size = at.get(agents)
            if size is None:
                continue
            low = mean - half_width(error, games, 2 * size.cap)
            if low > size.worst + ROUNDING * (1 + size.cap):
                values = {
                    "agents": agents,
                    "games": games,
                    "mean": mean,
                    "std_error": error,
                    "policy": trial.policy,
                    "terms": size.terms,
                }
                claim = f"gain among {agents} agents"
                found.append(Excess(claim, among.player, size.worst, low, values))
    return found


def half_width(std_error: float, games: int, width: float) -> float:
    """How far the mean of `games` independent values of an interval may lie above its expectation.

    Infinite for one game. `width` is the length of the interval.
    """
    if games < 2:
        return math.inf
    log = math.log(2 / FALSE_ALARM)
    return math.sqrt(2 * log) * std_error + 7 * width * log / (3 * (games - 1))
