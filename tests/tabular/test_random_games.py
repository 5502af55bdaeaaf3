"""Random small games: what the tables say against every path of the common state."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.game import Game
from mfdsl.runtime.evaluate import Evaluation, View, build_view
from tests.tabular.all_paths import Oracle
from tests.tabular.random_specs import Writer


@dataclass(frozen=True)
class Compared:
    """Both sides: values and best values by player, and laws by (stage, population, own state)."""

    tables: np.ndarray
    paths: np.ndarray


def random_policy(view: View, seed: int) -> torch.Tensor:
    """Random probabilities on the legal actions, some of them zero."""
    probs = view.uniform().probs
    source = torch.Generator().manual_seed(seed)
    weights = torch.rand(probs.shape, generator=source).double()
    kept = (torch.rand(probs.shape, generator=source) < 0.8) | (weights > 0.9)
    mixed = probs * weights * kept
    probs = torch.where(mixed.sum(-1, keepdim=True) > 0, mixed, probs)
    return probs / probs.sum(-1, keepdim=True)


def compare(game: Game, seed: int) -> Compared:
    """Values and best responses of a random policy, by the tables and by the oracle."""
    view = build_view(game.program)
    probs = random_policy(view, seed)
    found = Evaluation(view, view.policy(probs))
    oracle = Oracle(game, probs[0])
    values, best = oracle.whole()
    names = game.program.populations
    tables = [found.values[0].tolist(), view.values(found.flow, found.best_q)[0].tolist()]
    paths = [[values[n] for n in names], [best[n] for n in names]]
    return Compared(np.array(tables), np.array(paths))


def load(seed: int) -> Game:
    return mfdsl.load(text=Writer(seed).text())


@pytest.mark.parametrize("seed", range(24))
def test_values_and_best_responses_are_those_of_all_paths(seed: int) -> None:
    found = compare(load(seed), seed)
    assert np.abs(found.tables - found.paths).max() < 1e-10
