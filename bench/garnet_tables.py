"""Writes the random tables of the shipped garnets, `specs/data/{garnet,mf_garnet}.json`.

Garnets are random games of a given size (Archibald, McKinnon and Thomas 1995). The tables come
from Python's own generator with seed 0, so `python bench/garnet_tables.py` always writes the same.
"""

import json
import random
from itertools import pairwise
from pathlib import Path

DATA = Path(__file__).parent.parent / "specs" / "data"


def sticks(draw: random.Random, count: int) -> list[float]:
    """A random law on `count` points: lengths between sorted uniform cuts of a stick."""
    cuts = [0.0, *sorted(draw.random() for _ in range(count - 1)), 1.0]
    return [b - a for a, b in pairwise(cuts)]


def garnet(states: int = 10, actions: int = 3, branches: int = 3) -> dict[str, object]:
    """Successors without order, stick-breaking chances and uniform rewards."""
    draw = random.Random(0)
    pairs = [(s, a) for s in range(states) for a in range(actions)]
    succ = {pair: [draw.randrange(states) for _ in range(branches)] for pair in pairs}
    chance = {pair: sticks(draw, branches) for pair in pairs}
    gain = {pair: draw.random() for pair in pairs}

    def nested(table: dict[tuple[int, int], object]) -> list[list[object]]:
        return [[table[s, a] for a in range(actions)] for s in range(states)]

    return {"succ": nested({**succ}), "chance": nested({**chance}), "gain": nested({**gain})}


def mf_garnet(states: int = 8, actions: int = 3) -> dict[str, object]:
    """Base kernel, its dependence on the law, rewards and the symmetric interaction."""
    draw = random.Random(0)
    base = [[sticks(draw, states) for _ in range(actions)] for _ in range(states)]
    bend = [
        [[[draw.gauss(0, 1) for _ in range(states)] for _ in range(states)] for _ in range(actions)]
        for _ in range(states)
    ]
    gain = [[draw.gauss(0, 1) for _ in range(actions)] for _ in range(states)]
    raw = [[draw.gauss(0, 1) for _ in range(states)] for _ in range(states)]
    meet = [[(raw[i][j] + raw[j][i]) / 2 for j in range(states)] for i in range(states)]
    return {"base": base, "bend": bend, "gain": gain, "meet": meet}


if __name__ == "__main__":
    for name, tables in (("garnet", garnet()), ("mf_garnet", mf_garnet())):
        (DATA / f"{name}.json").write_text(json.dumps(tables) + "\n")
        print(f"written specs/data/{name}.json")
