"""What a user's checker of types is told: the README passes it, and solvers tell their solution.

Only the files that say so are read, so that a check takes a second.
"""

import re
from pathlib import Path
from typing import get_args

import pytest

from mfdsl import solve_types
from mfdsl.planning import ALONG
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.runtime.solvers.table import SOLVERS

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "solution exploitability policy flow status learning.loop views.particles simulator"
EXACTLY = "solvers.riccati.solution solvers.riccati.sweep solvers.networks.path_solution"
READ = [
    *"mfdsl mfdsl.api mfdsl.game mfdsl.solve_verbs mfdsl.solve_types mfdsl.simulate_verb".split(),
    *(f"mfdsl.runtime.{name}" for name in (RUNTIME + " " + EXACTLY).split()),
]
SETTINGS = f"""[mypy]
strict = true
follow_imports = skip
[mypy-{",".join(READ)}]
follow_imports = silent
"""
KINDS = """
from pathlib import Path
from typing import assert_type

import mfdsl
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.simulator import Rollout
from mfdsl.runtime.solvers.networks.path_solution import PathSolution
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.runtime.solvers.riccati.sweep import ExactSweep

game = Path("game.mfg")
assert_type(mfdsl.solve(game, "omd", iterations=9, sweep={"a": (1.0,)}), mfdsl.Solution)
assert_type(mfdsl.solve(game, "structural_pg"), mfdsl.Solution | PathSolution)
assert_type(mfdsl.solve(game, "ppo_nash", seed=1), Learned)
assert_type(mfdsl.solve(game, "riccati"), ExactSolution)
any_ = mfdsl.solve(game)
assert_type(any_, mfdsl.Solution | Learned | PathSolution | ExactSolution | ExactSweep)
assert isinstance(any_, mfdsl.Solution)
print(any_.exploitability.value, any_.policy.at(0, h="S"), any_.flow.at(1, h="S"))


def still(t: int, seen: object) -> dict[str, object]:
    return {}


assert_type(mfdsl.simulate(game, still, agents=3), Rollout)
assert_type(mfdsl.simulate(game, any_), mfdsl.Simulation | Rollout)
"""


def test_names_of_solvers_are_those_of_the_tables() -> None:
    assert set(get_args(solve_types.TableSolver)) == set(SOLVERS) - {ALONG}
    assert get_args(solve_types.PathSolver) == (ALONG,)
    assert set(get_args(solve_types.LearningSolver)) == set(LEARNERS)
    assert set(get_args(solve_types.ExactSolver)) == set(EXACT)


def test_a_strict_checker_takes_the_lines_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mypy = pytest.importorskip("mypy.api")
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "readme.py").write_text(lines)
    (tmp_path / "kinds.py").write_text(KINDS)
    (tmp_path / "wrong.py").write_text(lines + "solution.policy.chances\n")
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    flags = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path / "cache")]
    files = [str(tmp_path / name) for name in ("readme.py", "kinds.py", "wrong.py")]
    told, failed, _ = mypy.run([*flags, *files])
    complaints = [line for line in told.splitlines() if "error:" in line]
    assert not failed
    assert [Path(line.split(":")[0]).name for line in complaints] == ["wrong.py"], told
