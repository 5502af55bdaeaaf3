"""Exploitabilities of MFGLib and OpenSpiel, from the installed packages or from the kept file.

`python bench/peer_figures.py` measures every pair of `peer_pairs.py` with the packages installed
(`mfglib==0.3.0`, `open-spiel==2.0.2`) and writes `bench/data/peers.json` again.
"""

import contextlib
import importlib
import importlib.util
import io
import json
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from peer_pairs import PAIRS, Pair

KEPT = Path(__file__).parent / "data" / "peers.json"
SPIEL = "open_spiel.python.mfg.algorithms."
SPIEL_ALGORITHMS = {
    "fp": ("fictitious_play", "FictitiousPlay"),
    "fixed_point": ("fixed_point", "FixedPoint"),
    "omd": ("mirror_descent", "MirrorDescent"),
    "boltzmann": ("boltzmann_policy_iteration", "BoltzmannPolicyIteration"),
    "munchausen_omd": ("munchausen_mirror_descent", "MunchausenMirrorDescent"),
}
MFGLIB_ALGORITHMS = {
    "fp": ("FictitiousPlay", {}),
    "fixed_point": ("FictitiousPlay", {"alpha": 1.0}),
    "omd": ("OnlineMirrorDescent", {}),
    "prior": ("PriorDescent", {}),
}

Figures = dict[int, float]


def installed(peer: str) -> bool:
    """Whether the package of this peer can be imported."""
    return (
        importlib.util.find_spec("mfglib" if peer.startswith("mfglib") else "pyspiel") is not None
    )


def measured(pair: Pair) -> Figures:
    """The peer's exploitability at the pair's iterations; raises what the peer raises."""
    if pair.peer != "openspiel":
        _, values = mfglib_run(pair, max(pair.iterations))
        return {k: float(values[k]) for k in pair.iterations}
    figures: Figures = {}
    nash_conv = importlib.import_module(SPIEL + "nash_conv").NashConv
    for k, game, solver in openspiel_iterates(pair, max(pair.iterations)):
        if k in pair.iterations:
            figures[k] = float(nash_conv(game, solver.get_policy()).nash_conv())
    return figures


def mfglib_run(pair: Pair, iterations: int) -> tuple[list[Any], list[float]]:
    """All of MFGLib's policies and exploitabilities up to that iteration."""
    torch = importlib.import_module("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if pair.peer == "mfglib64" else torch.float32)
    try:
        environments = importlib.import_module("mfglib.env").Environment
        name, options = MFGLIB_ALGORITHMS[pair.algorithm]
        algorithm = getattr(importlib.import_module("mfglib.alg"), name)(**options)
        game = getattr(environments, pair.peer_game)()
        with _quiet():
            policies, values, _ = algorithm.solve(game, max_iter=iterations, atol=None, rtol=None)
    finally:
        torch.set_default_dtype(before)
    return policies, values


def openspiel_iterates(pair: Pair, iterations: int) -> Iterator[tuple[int, Any, Any]]:
    """OpenSpiel's game and solver after 0, 1, ... iterations."""
    with _quiet():
        game = _openspiel_game(pair.peer_game)
    module, name = SPIEL_ALGORITHMS[pair.algorithm]
    solver = getattr(importlib.import_module(SPIEL + module), name)(game)
    yield 0, game, solver
    for k in range(1, iterations + 1):
        solver.iteration()
        yield k, game, solver


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _openspiel_game(name: str) -> Any:
    games = "open_spiel.python.mfg.games"
    importlib.import_module(games)
    importlib.import_module(games + ".normal_form_game")
    if name.startswith("crowd_modelling_2d_"):
        return importlib.import_module(games + ".factory").create_game_with_setting(
            "mfg_crowd_modelling_2d", name
        )
    if name.startswith("nfg:"):
        settings = {"num_actions": 3, "reward_function": name.removeprefix("nfg:")}
        return importlib.import_module("pyspiel").load_game("mean_field_nfg", settings)
    return importlib.import_module("pyspiel").load_game(name)


def kept() -> dict[str, Figures]:
    """The figures of `bench/data/peers.json` by the key of their pair."""
    stored = json.loads(KEPT.read_text(encoding="utf-8"))["figures"]
    return {key: {int(k): v for k, v in values.items()} for key, values in stored.items()}


def main() -> None:
    """Measure what is missing among the figures that are kept."""
    wanted = {pair.key for pair in PAIRS}
    figures = {k: v for k, v in kept().items() if k in wanted} if KEPT.exists() else {}
    for pair in PAIRS:
        if not installed(pair.peer) or figures.get(pair.key, {}).keys() == set(pair.iterations):
            continue
        try:
            figures[pair.key] = measured(pair)
        except (RuntimeError, KeyError) as error:
            print(f"{pair.key}: {type(error).__name__}: {str(error)[:80]}", flush=True)
            continue
        print(pair.key, figures[pair.key], flush=True)
        versions = {name: metadata.version(name) for name in ("mfglib", "open-spiel", "torch")}
        lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in figures.items())
        text = f'{{"versions": {json.dumps(versions)},\n "figures": {{\n{lines}\n}}}}\n'
        KEPT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
