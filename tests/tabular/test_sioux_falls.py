"""Sioux Falls by tables over ranks, against a program for roads that keeps no waiting times."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view

DATA = Path(__file__).parents[2] / "specs" / "data"
STAGES, STEP, VEHICLES, LONGEST = 14, 0.5, 360600.0, 80
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Roads:
    """Links with their successors, and the trips that begin on them by goal, [links, 24]."""

    free: Floats
    slowing: Floats
    sink: NDArray[np.int64]
    after: list[list[int]]
    trips: Floats


def roads() -> Roads:
    """The network of the files."""
    with (DATA / "sioux_falls.csv").open() as file:
        links = list(csv.DictReader(file))
    demand = np.loadtxt(DATA / "sioux_falls_demand.csv", delimiter=",")
    trips = np.zeros((len(links), 24))
    for place, link in enumerate(links):
        if int(link["source"]):
            trips[place] = demand[int(link["source"]) - 1] / demand.sum()
    tails = [link["from"] for link in links]
    after = [[k for k, t in enumerate(tails) if t == x["to"]] or [i] for i, x in enumerate(links)]
    number = {name: np.array([float(x[name]) for x in links]) for name in ("free", "a", "sink")}
    return Roads(number["free"], number["a"], number["sink"].astype(int), after, trips)


def waits(city: Roads) -> list[list[int]]:
    """Stages that entering a link at a stage takes when all choose evenly, [stages][links].

    Whoever enters a link at t chooses again at t + its stages, and fills it until then.
    """
    count = len(city.free)
    arriving = np.zeros((STAGES + LONGEST + 2, count, 24))
    arriving[0] = city.trips
    driving = np.zeros((STAGES + LONGEST + 2, count))
    found: list[list[int]] = []
    for t in range(STAGES):
        entering = np.zeros((count, 24))
        for link, chances in enumerate(city.after):
            for other in chances:
                entering[other] += arriving[t, link] / len(chances)
        volume = VEHICLES * (entering.sum(1) + driving[t])
        travel = city.free * (1 + city.slowing * volume**4)
        found.append([])
        for link in range(count):
            stages = 1 + int(np.clip(np.floor(travel[link] / STEP) - 1, 0, LONGEST))
            found[t].append(stages)
            arriving[t + stages, link] += entering[link]
            driving[t + 1 : t + stages, link] += entering[link].sum()
    return found


def earned(city: Roads, stages: list[list[int]], *, best: bool) -> float:
    """What drivers earn who choose evenly, or for the best."""
    away = STEP * (city.sink[:, None] != np.arange(1, 25))
    values = np.zeros((STAGES + 1, len(city.free), 24))
    values[STAGES] = -away
    for t in reversed(range(STAGES)):
        entered = []
        for link, taken in enumerate(stages[t]):
            until = min(t + taken, STAGES)
            entered.append(values[until, link] - away[link] * (until - t))
        for link, chances in enumerate(city.after):
            ways = np.stack([entered[other] for other in chances])
            values[t, link] = ways.max(0) if best else ways.mean(0)
    return float((values[0] * city.trips).sum())


def test_even_drivers_earn_and_miss_what_a_program_for_roads_says() -> None:
    game = mfdsl.load("sioux_falls", params={"T": STAGES})
    with torch.no_grad():
        view = build_view(game.program)
        found = Evaluation(view, view.uniform())
        value, gap = found.value.item(), found.exploitability.value
    city = roads()
    stages = waits(city)
    own = earned(city, stages, best=False)
    missed = earned(city, stages, best=True) - own
    assert missed > 0.1
    assert value == pytest.approx(own, abs=1e-9)
    assert gap == pytest.approx(missed, abs=1e-9)
