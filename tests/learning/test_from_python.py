"""Learners called from Python: whatever the code around them has set in torch, they learn alike."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

import mfdsl

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "learning.md").read_text()
GAME = mfdsl.load("sis", params={"T": 2})
SMALL = {
    "ppo_nash": {"agents": 4, "games": 2, "evaluate_games": 2, "hidden": 4},
    "deep_munchausen": {"hidden": 4},
}


def solved(solver: str) -> Any:
    found = mfdsl.solve(GAME, solver, iterations=1, options=SMALL[solver])
    return found.exploitability.value if found.exploitability else found.value


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return {solver: solved(solver) for solver in SMALL}


@contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("solver", SMALL)
@pytest.mark.parametrize(
    "around", [torch.no_grad, torch.inference_mode, double, lambda: torch.device("meta")]
)
def test_what_torch_is_set_to_changes_nothing(
    around: Any, solver: str, plain: dict[str, Any]
) -> None:
    with around():
        assert solved(solver) == pytest.approx(plain[solver], rel=1e-5)


def test_threads_draw_their_networks_from_their_seeds(plain: dict[str, Any]) -> None:
    """And leave the numbers that torch draws elsewhere as they are."""
    before, found = torch.get_rng_state(), []
    threads = [Thread(target=lambda: found.append(solved("ppo_nash"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [plain["ppo_nash"]] * 3
    assert torch.equal(torch.get_rng_state(), before)


def test_the_code_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/learning.md", "exec"), names)
    learned, longer = names["learned"], names["longer"]
    assert learned.run == longer.run == next((tmp_path / "runs").iterdir()).relative_to(tmp_path)
    shown = capsys.readouterr().out
    assert shown.startswith("Learned(solver='mf_ppo', status=max_iterations, iterations=3, value=")
    assert len(shown.splitlines()) == 3  # tensors are not shown
    for verb in (mfdsl.validate, mfdsl.evaluate):
        with pytest.raises(mfdsl.UsageError, match="validate"):
            verb(GAME, learned)


def test_a_solution_is_a_start_and_knows_its_folder(tmp_path: Path) -> None:
    first = mfdsl.solve(GAME, "omd", iterations=3, out=tmp_path)
    assert first.run is not None and first.run.parent == tmp_path
    again = mfdsl.solve(GAME, "omd", iterations=0, start=first)
    assert again.exploitability.value == pytest.approx(first.exploitability.value)
    assert again.run is None and mfdsl.resume(first.run, iterations=4).run == first.run
