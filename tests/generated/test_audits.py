"""The auditor: sound laws pass, planted faults are flagged."""

import torch
from torch import Tensor

from mfdsl.runtime.learning.generated.auditor import audited, coverage, fault_of, two_sample

TIMES, COUNT = 3, 2048


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wells(seed: int, right: float = 0.5) -> Tensor:
    """Two clouds at -1 and 1, [T, n, 1]."""
    side = torch.rand(TIMES, COUNT, 1, generator=draws(seed)) < right
    return torch.where(side, 1.0, -1.0) + 0.2 * torch.randn(
        TIMES, COUNT, 1, generator=draws(seed + 1)
    )


def test_a_sound_law_passes() -> None:
    verdict = audited(wells(0), wells(10), wells(20), draws(0))
    assert verdict.failed == ""
    assert 0.45 < verdict.c2st < 0.55
    assert verdict.coverage > 0.93
    assert 0.3 < verdict.sw1 / verdict.floor < 3


def test_a_generator_that_lost_a_well_is_flagged_by_all_figures() -> None:
    """Laws far apart: the classifier is right nearly always where points of one law are missing."""
    lost = wells(0, right=0.0)
    verdict = audited(lost, wells(10, right=0.95), wells(20, right=0.95), draws(0))
    assert verdict.c2st > 0.9
    assert verdict.coverage < 0.2
    assert verdict.sw1 > 10 * verdict.floor
    assert verdict.failed.count(";") == 2
    half = audited(lost, wells(10), wells(20), draws(0))
    assert half.to_record()["audit_failed"] == 1
    assert half.c2st > 0.7 and half.coverage < 0.6


def test_the_classifier_is_told_the_time() -> None:
    """Two laws that are the same over all times, but not at each."""
    real = torch.stack([wells(0, 1.0)[0], wells(2, 0.0)[0], wells(4, 0.5)[0]])
    made = torch.stack([wells(6, 0.0)[0], wells(8, 1.0)[0], wells(12, 0.5)[0]])
    assert two_sample(made, real, draws(0)) > 0.8


def test_coverage_is_what_it_is_for_equal_laws() -> None:
    """1 - 2^-5 with five neighbours and as many points (Naeem et al. 2020)."""
    found = [
        coverage(
            torch.randn(512, 2, generator=draws(k)), torch.randn(512, 2, generator=draws(100 + k))
        )
        for k in range(20)
    ]
    assert abs(sum(found) / 20 - (1 - 2**-5)) < 0.01


def test_records_tell_their_fault() -> None:
    record = dict(audited(wells(0), wells(10), wells(20), draws(0)).to_record())
    assert fault_of(record) == "" and fault_of({}) == ""
    assert "split is violated" in fault_of({**record, "split_error": 2.0, "split_bound": 1.0})
    nan = float("nan")
    assert fault_of({**record, "split_error": nan, "split_bound": nan}) == ""
    assert fault_of({**record, "c2st": 0.9}) == "a classifier tells points apart in 90% of cases"
