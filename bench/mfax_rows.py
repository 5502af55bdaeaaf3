"""Rows of the goals table beside MFAX: games with common noise, over trees and along paths."""

import time
from collections.abc import Iterator
from typing import Any

from bench.goal import MINE, RECORDED, SPECS, Goal, Peers, seconds


def trees(peers: Peers) -> Iterator[Goal]:
    """Rows 10 and 11: games with common noise, solved over the tree of its values."""
    import torch

    from mfdsl.game import load
    from mfdsl.runtime.evaluate import Evaluation, build_view
    from mfdsl.runtime.solvers.loop import solve

    torch.set_num_threads(1)
    cases = (
        ("mfax_beach_bar", "policy_iteration", {}, 31.0, 2.0),
        ("mfax_linear_quadratic", "omd", {"learning_rate": 0.05}, 23.0, 2.0),
    )
    for name, solver, options, theirs_seconds, goal in cases:
        program = load(SPECS / f"{name}.mfg").program
        view = build_view(program)
        policy = view.uniform()
        start = view.exploitability(policy).item()

        def run(program: Any = program, solver: Any = solver, options: Any = options) -> object:
            return solve(program, None, solver, options, iterations=400, tolerance=0.01 * start)  # noqa: B023

        began = time.process_time()
        found = run()
        cost = time.process_time() - began
        what = f"{name}: {solver} to 1 % of the start, causal ({found.iterations} iterations)"
        note = f"one run; theirs, SPG, does not get there; ours: {found.status.name}"
        yield Goal("10", what, "s", cost, "MFAX", theirs_seconds, "recorded", goal, note)
        if name == "mfax_beach_bar":
            score = seconds(lambda: Evaluation(view, policy).exploitability.value, 3)  # noqa: B023
            what = "mfax_beach_bar: an exploitability over the whole tree"
            note = "ours: all 51 bars and both ends, theirs: 128 samples"
            yield Goal("11", what, "s", score, "MFAX", RECORDED["beach"], "recorded", 0.2, note)


def paths(peers: Peers) -> Iterator[Goal]:
    """Row 11: MFAX's `endogenous`, whose moves read the law, along 8 paths of productivity."""
    from dataclasses import replace

    import torch

    from mfdsl.compiler.tabular.grids import Bins
    from mfdsl.game import load
    from mfdsl.runtime.evaluate import Evaluation, build_view

    torch.set_num_threads(1)
    game = replace(load(MINE / "endogenous_paths.mfg"), bins=Bins(20, {"k": 200}))
    program, cost = game.program, 0.0
    for start in range(8):
        params = program.params({"start": 0.1 * (start - 3.5) / 3.5}, dtype=torch.float32)
        view = build_view(program, params)
        policy = view.uniform()
        began = time.process_time()
        _ = Evaluation(view, policy).exploitability.value
        cost += time.process_time() - began
    what = "endogenous: an exploitability along 8 paths, 1,000 states, 128 stages"
    note = "one run, paths one after another; wealth on even points, theirs geometric"
    theirs_seconds = RECORDED["endogenous"]
    yield Goal("11", what, "s", cost, "MFAX", theirs_seconds, "recorded", 1.0, note)
