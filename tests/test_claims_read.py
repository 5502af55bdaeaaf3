"""What a solve looks for before it starts: no more than its licence reads, and once for a batch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mfdsl.game import load
from mfdsl.licence import claims_read, licence_for
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import resolve
from mfdsl.solving import prepare
from mfdsl.structural import case_of, with_structure

SPECS = ("rock_paper_scissors", "lasry_lions_chain", "stationary_sis")
# Searches for slopes and for what few rules read; a game without claims of its own needs none.
UNREAD = (
    "mfdsl.compiler.analysis.lipschitz",
    "mfdsl.compiler.analysis.regularity",
    "mfdsl.compiler.analysis.asymmetry.asymmetry",
    "mfdsl.compiler.analysis.structure.contraction",
    "mfdsl.compiler.analysis.structure.existence",
    "mfdsl.compiler.tabular.reduce",
    "mfdsl.compiler.backend.particles.emit",
    "mfdsl.runtime.simulator",
    "mfdsl.runtime.transport",
)
SWEEP = """
import sys
from mfdsl.cli import run
code = run(["solve", {spec!r}, "--solver", "omd", "--iterations", "1", "--tol", "0", "--quiet",
            "--sweep", "opt.learning_rate=0.1,0.2", "--out", {out!r}])
print(code, *(name for name in {unread!r} if name in sys.modules))
"""


@pytest.mark.parametrize("name", SPECS)
def test_the_licence_of_a_solver_rests_on_the_claims_that_it_reads(name: str) -> None:
    game = load(name)
    case = case_of(game.model, 1e-6)
    whole = with_structure(game.model, game.certificates)
    asked = [solver for solver in SOLVERS if claims_read(solver) is not None]
    assert {"omd", "fictitious_play", "mf_omo"} <= set(asked)
    assert "mirror_prox" not in asked
    for solver in asked:
        claims = claims_read(solver)
        assert claims is not None
        some = with_structure(game.model, game.certificates_of(claims))
        config = SOLVERS[solver].config()
        assert licence_for(solver, config, some, case) == licence_for(solver, config, whole, case)


def test_a_batch_looks_at_its_game_once(monkeypatch: pytest.MonkeyPatch) -> None:
    game = load("rock_paper_scissors")
    looks = []

    def looked(*arguments: Any) -> Any:
        looks.append(arguments)
        return with_structure(*arguments)

    monkeypatch.setattr("mfdsl.solving.with_structure", looked)
    rates = tuple(0.1 * k for k in range(1, 6))
    settings = resolve(game.model, "omd", options={"learning_rate": rates[0]})
    job = prepare(game, settings, sweep={"opt.learning_rate": rates})
    assert len(job.points) == len(rates)
    assert len(looks) == 1


def test_a_sweep_loads_no_search_that_nobody_reads(tmp_path: Path) -> None:
    code = SWEEP.format(spec="rock_paper_scissors", out=str(tmp_path), unread=UNREAD)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == "0", done.stdout
