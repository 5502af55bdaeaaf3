"""Rows of the goals table on large tori: one stage of a push and of a best response."""

from collections.abc import Iterator
from typing import Any

from bench.goal import RECORDED, SPECS, Goal, Peers, seconds


def grids(peers: Peers) -> Iterator[Goal]:
    """Rows 8 and 9: a push of the population and a sweep of the best response, a stage each."""
    import torch

    for row, side, games, recorded, goal in (
        ("8", 400, 1, "400 x 400", 2.0),
        ("8", 1000, 1, "1000 x 1000", 15.0),
        ("9", 100, 64, "64 games", 5.0),
    ):
        cost = 1e3 * pass_seconds(side, games, torch.float32)
        what = f"{side} x {side} torus, {games} game{'s' * (games > 1)}: a stage there and back"
        yield Goal(row, what, "ms", cost, "JAX", RECORDED[recorded], "recorded", goal, "float32")
    one, many = pass_seconds(100, 1, torch.float64), pass_seconds(100, 64, torch.float64)
    plain = pass_seconds(100, 1, torch.float64, compiled=False)
    what = "100 x 100 torus: 64 games in one batch, in single games"
    least = reading_seconds(100, 64, torch.float64) / one
    note = f"singles in compiled loops; to read 64 policies and rewards takes {least:.0f} singles"
    yield Goal("shows 6", what, "times", many / one, "", None, "", 8.0, note)
    what = "100 x 100 torus: 64 games in one batch, in single games of tensor operations"
    yield Goal("shows 6", what, "times", many / plain, "", None, "", 8.0)


def pass_seconds(side: int, games: int, dtype: Any, *, compiled: bool = True) -> float:
    """Computing time of one stage of `crowd_2d`, forward under a policy and back for the best."""
    import torch

    from mfdsl.game import load
    from mfdsl.runtime.views import native
    from mfdsl.runtime.views.finite import FiniteView, sweep
    from mfdsl.runtime.views.kernels import matrix_kernel
    from mfdsl.runtime.views.tables import Problem

    stages = 4 if side > 100 else 10
    program = load(SPECS / "crowd_2d.mfg", params={"n": side, "H": stages}).program
    view = FiniteView.build(program, program.params(dtype=dtype))
    shape = (stages, program.action_count, program.state_count, games)
    generator = torch.Generator().manual_seed(0)
    probs = torch.softmax(torch.randn(shape, dtype=dtype, generator=generator), 1)
    rewards = torch.randn(shape, dtype=dtype, generator=generator)
    if not compiled:
        flat, _ = view.tables.successors or (None, None)
        assert flat is not None
        weights = torch.full((len(flat), 1, 1), 1 / len(flat), dtype=dtype)
        kernel = matrix_kernel(flat, weights, dense=False)
        plain = Problem(
            rewards, [type(kernel)(kernel.forward, kernel.backward)] * stages, None, None
        )
        law, after = torch.rand(shape[2], dtype=dtype), torch.empty(shape[2], dtype=dtype)

        def tensors() -> None:
            for t in range(stages):
                plain.kernels[t].push((law * probs[t, :, :, 0]).view(-1), after)
            sweep(plain, None, 1.0)

        return seconds(tensors) / stages
    loops = native.compiled_loops(view.tables.kernel, games)
    assert loops is not None, "the extra `native` is not installed"
    laws = torch.empty(stages + 1, shape[2], games, dtype=dtype)
    laws[0] = view.tables.initial
    value = torch.zeros(shape[2], games, dtype=dtype)

    def both() -> None:
        native.push_forward(loops, probs, laws)
        native.sweep(loops, rewards, None, value.zero_(), 1.0)

    return seconds(both) / stages


def reading_seconds(side: int, games: int, dtype: Any) -> float:
    """Computing time of reading once what is each game's own in a stage of `pass_seconds`.

    That is a policy and a table of rewards, with five actions; they are added up.
    """
    import torch

    stages = 10
    tables = torch.ones(stages, 2, 5, side * side, games, dtype=dtype)
    return seconds(tables.sum) / stages
