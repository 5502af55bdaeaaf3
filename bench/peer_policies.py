"""A peer's own policy after k iterations, in the order of our states and actions.

Where best responses are not unique, two correct runs part at the first tie. Our exploitability of
the peer's own policy then still has to be the peer's figure.
"""

import importlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer_figures import mfglib_run, openspiel_iterates
from peer_pairs import Pair

# MFGLib's moves (1,0), (-1,0), (0,1), (0,-1), (0,0) as up, left, stay, right, down.
ACTION_ORDER = {"crowd_motion": [1, 3, 4, 2, 0]}
TORUS_GAMES = {"mfg_crowd_modelling_2d": 10, "crowd_modelling_2d_four_rooms": 13}
Policy = NDArray[np.float64]


def has_policy(pair: Pair) -> bool:
    """Whether the game is one whose policies can be carried over."""
    return pair.peer.startswith("mfglib") or pair.peer_game in TORUS_GAMES


def peer_policy(pair: Pair, iteration: int, shape: tuple[int, int, int]) -> Policy:
    """Probabilities [T, S, A] for our shape; rows of states never entered are zero."""
    if pair.peer == "openspiel":
        return _openspiel(pair, iteration, shape)
    policies, _ = mfglib_run(pair, iteration)
    probs = np.asarray(policies[iteration], dtype=float)
    stages, states, actions = shape
    flat = probs.reshape(stages, states, -1)[..., ACTION_ORDER.get(pair.peer_game, slice(None))]
    if flat.shape[-1] == actions:
        return flat
    # our first action stands for the start and is never legal (left_right, rock_paper_scissors)
    return np.concatenate([np.zeros((stages, states, 1)), flat], axis=-1)


def _openspiel(pair: Pair, iteration: int, shape: tuple[int, int, int]) -> Policy:
    *_, (_, game, solver) = openspiel_iterates(pair, iteration)
    policy, size = solver.get_policy(), TORUS_GAMES[pair.peer_game]
    distribution = importlib.import_module("open_spiel.python.mfg.algorithms.distribution")
    law = distribution.DistributionPolicy(game, policy)
    table = np.zeros((shape[0], size, size, shape[2]))
    visit(game.new_initial_state(), policy, law, table)
    cells = _free_cells(game, size)
    return table.reshape(shape[0], size * size, shape[2])[:, cells]


def visit(root: Any, policy: Any, law: Any, table: Policy) -> None:
    """Fill `table` [t, y, x, action] in the order in which OpenSpiel's values visit states."""
    sys.setrecursionlimit(100_000)
    mean_field = importlib.import_module("pyspiel").PlayerId.MEAN_FIELD
    seen: set[str] = set()

    def walk(state: Any) -> None:
        key = state.observation_string(0)
        if key in seen or state.is_terminal():
            return
        seen.add(key)
        if state.current_player() == mean_field:
            state = state.clone()
            state.update_distribution([law.value_str(s, 0.0) for s in state.distribution_support()])
            walk(state)
        elif state.is_chance_node():
            for outcome, _ in state.chance_outcomes():
                walk(state.child(outcome))
        else:
            x, y, t = (int(part) for part in key.strip("()").split(","))
            for action, probability in policy.action_probabilities(state).items():
                table[t, y, x, action] = probability
                walk(state.child(action))

    walk(root)


def _free_cells(game: Any, size: int) -> NDArray[np.bool_]:
    walls = game.get_parameters()["forbidden_states"].strip("[]")
    free = np.ones((size, size), dtype=bool)
    for wall in filter(None, walls.split(";")):
        x, y = (int(part) for part in wall.split("|"))
        free[y, x] = False
    return free.reshape(-1)
