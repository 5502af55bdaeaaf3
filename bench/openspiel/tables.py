"""Writes the tables of the games that OpenSpiel's tabular code really solves.

Its values are cached by a state string without the last action, so the action cost met at (t, x)
is that of the first path to (t, x) in depth-first order: initial outcomes, then actions, then
chance outcomes, all ascending. Run `python bench/openspiel/tables.py` to write `data/*.json`
again; `data/garnet.json` needs `pip install open-spiel==2.0.2` and is left alone without it.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).parent / "data"
NESTED = (dict, list)


def first_actions(
    places: int, horizon: int, actions: int, stay: int, step: Callable[[int, int], int]
) -> list[list[int]]:
    """The last action seen at [t][x]; drift outcomes are the moves, and move as actions do."""
    seen: dict[tuple[int, int], int] = {}
    landed: set[tuple[int, int]] = set()

    def decide(t: int, x: int, last: int) -> None:
        if t == horizon or (t, x) in seen:
            return
        seen[t, x] = last
        for action in range(actions):
            y = step(x, action)
            if (t, y) in landed:
                continue
            landed.add((t, y))
            for drift in range(actions):
                decide(t + 1, step(y, drift), action)

    for x in range(places):
        decide(0, x, stay)
    return [[seen.get((t, x), stay) for x in range(places)] for t in range(horizon)]


def on_ring(places: int, horizon: int, reach: int) -> list[list[int]]:
    """Last moves in -reach..reach at [t][x] on a ring."""
    last = first_actions(
        places, horizon, 2 * reach + 1, reach, lambda x, a: (x + a - reach) % places
    )
    return [[a - reach for a in row] for row in last]


def on_torus(size: int, horizon: int) -> list[list[list[int]]]:
    """1 where the last move was not to stay, at [t][row][column]; actions down ... up."""
    across, along = (0, -1, 0, 1, 0), (-1, 0, 0, 0, 1)

    def step(s: int, a: int) -> int:
        return (s % size + across[a]) % size + size * ((s // size + along[a]) % size)

    last = first_actions(size * size, horizon, 5, 2, step)
    return [
        [[int(row[r * size + c] != 2) for c in range(size)] for r in range(size)] for row in last
    ]


def garnet() -> dict[str, object]:
    """Successors, their probabilities and the fixed rewards of the garnet, from the game itself."""
    pyspiel = importlib.import_module("pyspiel")
    game = pyspiel.load_game("mfg_garnet")
    size, horizon = (int(game.get_parameters()[name]) for name in ("size", "horizon"))
    actions, seen = game.num_distinct_actions(), set()
    fixed = [[0.0] * size for _ in range(horizon)]
    succ: list[list[list[int]]] = [[[] for _ in range(actions)] for _ in range(size)]
    prob: list[list[list[float]]] = [[[] for _ in range(actions)] for _ in range(size)]

    def walk(state: object) -> None:
        key = state.observation_string(0)
        if key in seen or state.is_terminal():
            return
        seen.add(key)
        if state.current_player() == pyspiel.PlayerId.MEAN_FIELD:
            # a law of ones has -log(1 + 1e-25) = 0: the reward read next is the fixed part
            state = state.clone()
            state.update_distribution([1.0] * size)
            walk(state)
        elif state.is_chance_node():
            for outcome, _ in state.chance_outcomes():
                walk(state.child(outcome))
        else:
            visit(state, *map(int, key.strip("()").split(",")))

    def visit(state: object, x: int, t: int) -> None:
        fixed[t][x] = state.rewards()[0] if t else 0.0
        for action in range(actions):
            chance = state.child(action)
            outcomes = chance.chance_outcomes()
            if t == 0:
                prob[x][action] = [p for _, p in outcomes]
                succ[x][action] = [place(chance.child(k)) for k, _ in outcomes]
            walk(chance)

    def place(state: object) -> int:
        return int(state.observation_string(0).strip("()_a").split(",")[0])

    walk(game.new_initial_state())
    return {"succ": succ, "chance": prob, "fixed": fixed}


def compact(value: object, depth: int = 0) -> str:
    """JSON with one line for each innermost list."""
    if isinstance(value, list) and value and isinstance(value[0], NESTED):
        return "[\n" + ",\n".join(compact(item, depth + 1) for item in value) + "]"
    return json.dumps(value)


def write(name: str, table: dict[str, object]) -> None:
    """Write one table beside the others."""
    body = ",\n".join(f'"{key}": {compact(value)}' for key, value in table.items())
    (DATA / f"{name}.json").write_text("{\n" + body + "\n}\n", encoding="utf-8")


def main() -> None:
    """Write the tables of all games."""
    sys.setrecursionlimit(100_000)
    write("crowd_1d", {"last": on_ring(10, 10, 1)})
    write("crowd_2d", {"moved": on_torus(10, 10)})
    write("linear_quadratic", {"last": on_ring(10, 10, 3)})
    write("periodic_aversion", {"last": on_ring(21, 20, 10)})
    if importlib.util.find_spec("pyspiel"):
        write("garnet", garnet())


if __name__ == "__main__":
    main()
