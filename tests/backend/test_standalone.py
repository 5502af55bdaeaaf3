"""The emitted module runs where nothing but torch is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import compile_file

SPECS = Path(__file__).parents[2] / "specs"

SCRIPT = """
import sys, warnings

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("mfdsl", "pydantic", "lark", "jaxtyping"):
            raise ModuleNotFoundError(name)

warnings.simplefilter("ignore")
import torch
sys.meta_path.insert(0, Refuse())
module = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), module)
p, t = module["default_params"](), torch.tensor(0)
s = module["init"](p, module["draw_initial"](2, 50))
legal = module["legal"](p, t)[0]
law = module["initial_law"](p)
joint = law.reshape(1, -1, 1) * legal / legal.sum(-1, keepdim=True)
joint = joint.reshape(-1, *module["STATES"].values(), *module["ACTIONS"].values())
after = module["push"](p, t, joint)
assert abs(float(after.sum()) - 1) < 1e-12
assert torch.isfinite(module["rewards"](p, t, joint)).all()
print("mfdsl" in sys.modules)
"""


@pytest.mark.parametrize("name", ["sis", "four_rooms"])
def test_the_module_needs_nothing_but_torch(name: str, tmp_path: Path) -> None:
    model = compile_file(SPECS / f"{name}.mfg").require_model()
    path = tmp_path / "simulator.py"
    path.write_text(emit_torch(model, source_name=name, digest="0"), encoding="utf-8")
    command = [sys.executable, "-I", "-c", SCRIPT, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "False\n"
