"""When one game of a batch ends."""

from dataclasses import replace

import pytest

from mfdsl.runtime.solvers.members import Member, Stopping
from mfdsl.runtime.status import Status

RULE = Stopping(iterations=9, tolerance=0.1, evaluate_every=1, patience=2, stop=lambda: False)


@pytest.mark.parametrize(
    ("gaps", "last", "status"),
    [
        ((0.1,), False, Status.converged),
        ((0.11,), False, None),
        ((0.11,), True, Status.max_iterations),
        ((0.2, 0.3), False, None),
        ((0.2, 0.3, 0.2), False, Status.stalled),
        ((0.2, 0.3, 0.19), False, None),
    ],
)
def test_a_game_ends_at_its_tolerance_or_when_it_waits_too_long(
    gaps: tuple[float, ...], last: bool, status: Status | None
) -> None:
    member = Member()
    for iteration, gap in enumerate(gaps):
        member.note(iteration, gap, 0.0)
    member.judge(RULE, last=last)
    assert member.status is status
    assert ("`mfdsl solvers SPEC`" in member.message) is (status is Status.stalled)


def test_the_remedy_of_a_solver_stands_in_its_messages() -> None:
    rule = replace(RULE, remedy="try --solver policy_iteration")
    stopped, stalled, plain = Member(), Member(), Member()
    for member in (stopped, plain):
        member.note(0, 1.0, 0.0)
    stopped.judge(rule, last=True)
    plain.judge(RULE, last=True)
    assert stopped.message == f"{Status.max_iterations.remedy}; try --solver policy_iteration"
    assert plain.message == Status.max_iterations.remedy
    for iteration in range(4):
        stalled.note(iteration, 1.0, 0.0)
        stalled.judge(rule, last=False)
    assert stalled.status is Status.stalled
    assert "; try --solver policy_iteration, or try another solver" in stalled.message
