"""Times Bench-MFG (PyPI `bench-mfg-suite`) in an interpreter of its own; prints one JSON object.

`PYTHON bench/peer_benchmfg.py` with the interpreter of an environment that has the package. Seconds
of computing time on one core: medians of at least three calls after those that compile.
"""

import json
import logging
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

RATES = {
    "four_rooms_obstacles": (0.5, 0.8),
    "lasry_lions_chain": (0.05, 0.8),
    "kinetic_congestion": (0.5, 0.2),
    "sis_epidemic": (0.5, 0.2),
}
POLICIES = {name: 2000 if name == "lasry_lions_chain" else 200 for name in RATES}


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median computing time of a call."""
    samples = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        samples.append(time.process_time() - began)
    return statistics.median(samples)


def measured(name: str) -> dict[str, Any]:
    """Mirror descent, scored each iteration, cold and warm, and a batch of policies."""
    import benchmfg
    import jax.numpy as jnp
    import numpy as np
    from benchmfg.envs import mfg_model_class_jit as kernels
    from benchmfg.utility.create_solver import get_env_spec

    rate, temperature = RATES[name]
    options = [f"algorithm.omd.learning_rate={rate}", f"algorithm.omd.temperature={temperature}"]
    config = benchmfg.load_config(["algorithm=omd", f"environment={name}", "device=cpu", *options])
    game, policy = benchmfg.make_environment(config)
    start = np.array(game.stationary_mean_field, copy=True)
    scores: list[float] = []

    def run() -> None:
        game.stationary_mean_field = start.copy()
        solver = benchmfg.make_solver(config, environment=game, initial_policy=policy)
        scores[:] = [float(score) for score in solver.eval()[2]]

    cold = seconds(run, 1)
    warm = seconds(run, 3)
    count = POLICIES[name]
    shape = (count, game.N_states)
    drawn = np.random.default_rng(0).dirichlet(np.ones(game.N_actions), size=shape)
    batch, law = jnp.asarray(drawn, dtype=jnp.float32), jnp.asarray(start, dtype=jnp.float32)
    spec = get_env_spec(game, config.environment.name)

    def score() -> None:
        kernels.exploitability_batch_jax(batch, spec, law, count).block_until_ready()

    score()
    return {
        "states": int(game.N_states),
        "policies": count,
        "microseconds_a_policy": 1e6 * seconds(score) / count,
        "cold_seconds": cold,
        "milliseconds_an_iteration": 1e3 * warm / (len(scores) - 1),
        "exploitability": [scores[0], scores[-1]],
    }


def main() -> None:
    """Measure every game on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    logging.disable(logging.CRITICAL)
    import jax

    games = {name: measured(name) for name in RATES}
    print(json.dumps({"package": "bench-mfg-suite", "jax": jax.__version__, "games": games}))


if __name__ == "__main__":
    main()
