"""Compiled loops and tensor operations give the same flows, values and iterates."""

from pathlib import Path

import pytest
import torch

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import compile_file
from mfdsl.runtime.program import Program, load_program
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views import native
from mfdsl.runtime.views.finite import FiniteView
from tests.runtime import oracle

pytest.importorskip("numba")


def shipped(name: str) -> Program:
    model = compile_file(Path(__file__).parents[2] / "specs" / f"{name}.mfg").require_model()
    return load_program(emit_torch(model, source_name=name, digest=""), model, name)


PROGRAMS = {
    "left_right": oracle.load("left_right"),
    "beach_bar": oracle.beach_bar_program(30, 11),
    "four_rooms": shipped("four_rooms"),
}


def views(program: Program, monkeypatch: pytest.MonkeyPatch) -> tuple[FiniteView, FiniteView]:
    """The view with compiled loops, and the one with tensor operations."""
    compiled = FiniteView.build(program)
    monkeypatch.setattr(native, "available", lambda: False)
    return compiled, FiniteView.build(program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_flows_and_values_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, plain = views(PROGRAMS[name], monkeypatch)
    assert native.compiled_loops(compiled.tables.kernel, 1) is not None
    assert native.compiled_loops(plain.tables.kernel, 1) is None
    torch.manual_seed(1)
    probs = torch.rand(plain.uniform().probs.shape, dtype=torch.float64) * (
        plain.uniform().probs > 0
    )
    policy = plain.policy(probs / probs.sum(-1, keepdim=True))
    flows = compiled.flow(policy), plain.flow(policy)
    assert torch.allclose(flows[0].laws, flows[1].laws, rtol=0, atol=1e-14)
    for against in (policy, None):
        q = [v.q_values(f, against) for v, f in zip((compiled, plain), flows, strict=True)]
        assert torch.equal(q[0].isfinite(), q[1].isfinite())
        assert torch.allclose(q[0].nan_to_num(), q[1].nan_to_num(), rtol=0, atol=1e-12)
    gaps = compiled.exploitability(policy), plain.exploitability(policy)
    assert gaps[0].item() == pytest.approx(gaps[1].item(), abs=1e-12)


def test_the_iterates_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS["beach_bar"]
    runs = []
    for there in (True, False):
        monkeypatch.setattr(native, "available", lambda there=there: there)
        solution = solve(program, None, "omd", {"learning_rate": 0.1}, iterations=30)
        runs.append([record.exploitability for record in solution.history])
    assert runs[0] == pytest.approx(runs[1], rel=1e-9)


def test_a_few_small_games_take_the_tensor_operations() -> None:
    program = oracle.load("beach_bar")
    view = FiniteView.build(program, program.params({"bar": [0.0, 1.0]}))
    assert native.compiled_loops(view.tables.kernel, 2) is None


def test_single_precision_stays_single() -> None:
    program = PROGRAMS["beach_bar"]
    view = FiniteView.build(program, program.params(dtype=torch.float32))
    flow = view.flow(view.uniform())
    assert flow.laws.dtype == torch.float32
    assert view.q_values(flow).dtype == torch.float32


def test_a_numba_that_does_not_load_is_left_out_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> None:
        raise ImportError(f"{name} needs an older numpy")

    native.available.cache_clear()
    monkeypatch.setattr(native.importlib, "import_module", refuse)
    with pytest.warns(UserWarning, match="numba is installed but does not load"):
        assert not native.available()
    native.available.cache_clear()
