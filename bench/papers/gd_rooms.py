"""Which errors of laws cost what in GD4: mirror descent against laws with one of them at a time.

`python -m bench.papers.gd_rooms [--side 101]` prints the exploitability after 20 steps against the
exact law of the policy; that law with the even part of the generator's chances; how often each of
65,536 draws of it, other ones at each time, met a place, with that part; and the generator fitted
to such draws in some numbers of steps. What `gd_mfrl.py` has beyond the last of these comes from
paths, whose errors are alike at times that follow one another.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from bench.papers.gd_learners import exploited, learner_of
from bench.papers.gd_mfrl import rooms
from mfdsl.runtime.learning.generated.autoregressive import UNSEEN, Autoregressive
from mfdsl.runtime.learning.generated.distances import total_variation
from mfdsl.runtime.learning.generated.learner import GeneratedField
from mfdsl.runtime.learning.generated.table_response import ByTables

DRAWN = 65_536
STEPS = (100, 300)
ITERATIONS = 20

Made = Callable[[Tensor, int], Tensor]
"""A law [T + 1, S] in the place of the exact one, at an iteration."""


def learner_at(side: int, steps: int = 1) -> GeneratedField:
    """A learner of rooms whose generator takes so many steps in a fit."""
    options = {"response": "tables", "mirror": 0.1, "fit_steps": steps, "fit_batch": 512}
    return learner_of(rooms(side), options, 0, ITERATIONS)


def descended(learner: GeneratedField, made: Made) -> tuple[float, float]:
    """The exploitability after all steps, and the total variation of the last law."""
    responder = learner.responder
    assert isinstance(responder, ByTables)
    apart = 0.0
    for k in range(ITERATIONS):
        law = responder.view.flow(responder.tabular).laws[0]
        shown = made(law.double(), k)
        apart = float(total_variation(shown[1:], law[1:].double()).mean())
        responder.answer(torch.cat([law[:1], shown[1:].to(law)]))
    return exploited(learner), apart


def drawn(law: Tensor, number: int) -> Tensor:
    """Places [T + 1, n] of draws from a law [T + 1, S]."""
    draws = torch.Generator().manual_seed(number)
    return torch.multinomial(law, DRAWN, replacement=True, generator=draws)


def evened(law: Tensor, made: Autoregressive) -> Tensor:
    """A law [T + 1, S] of places with the even part that chances of rows and columns have."""
    (scalar,) = made.scalars
    rows, columns = scalar.digits.unbind(-1)
    there = (scalar.value >= 0).double()
    square = law.new_zeros(len(law), *scalar.sizes)
    square[:, rows, columns] = law
    row = square.sum(2)
    even = there / there.sum(1, keepdim=True).clamp(min=1)
    column = torch.where(row[..., None] > 0, square / row.clamp(min=1e-300)[..., None], even)
    row = (1 - UNSEEN) * row + UNSEEN * there.amax(1) / there.amax(1).sum()
    both = row[..., None] * ((1 - UNSEEN) * column + UNSEEN * even)
    return both[:, rows, columns]


def counted(law: Tensor, number: int) -> Tensor:
    """How often draws from a law [T + 1, S] met each place."""
    places = drawn(law, number)
    met = torch.zeros_like(law)
    return met.scatter_add_(1, places, torch.ones_like(places, dtype=law.dtype)) / DRAWN


def fitted(learner: GeneratedField) -> Made:
    """Laws of the generator, fitted to draws of the exact one."""
    fitting, (scalar,) = learner.fitting, generator_of(learner).scalars

    def made(law: Tensor, number: int) -> Tensor:
        points = (drawn(law, number) + scalar.first)[..., None].float()
        left = 1 - (1 - learner.config.final_rate) * number / (ITERATIONS - 1)
        fitting.fit(points, left, torch.Generator())
        share = torch.arange(1, len(law)) / (len(law) - 1)
        with torch.no_grad():
            return torch.cat([law[:1], generator_of(learner).table(share).double()])

    return made


def generator_of(learner: GeneratedField) -> Autoregressive:
    """The generator of rooms."""
    made = learner.generator
    assert isinstance(made, Autoregressive)
    return made


def main() -> None:
    """Print what each error costs."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=101, help="places on a side")
    side = parser.parse_args().side
    generator = generator_of(learner_at(side))
    laws: dict[str, Made] = {
        "exact": lambda law, _: law,
        "even part": lambda law, _: evened(law, generator),
        "draws, even part": lambda law, k: evened(counted(law, k), generator),
    }
    for name, made in laws.items():
        report(name, *descended(learner_at(side), made))
    for steps in STEPS:
        learner = learner_at(side, steps)
        report(f"draws, {steps} steps", *descended(learner, fitted(learner)))


def report(name: str, gap: float, apart: float) -> None:
    """One line."""
    print(f"{name:20} exploitability {gap:.2f}, total variation {apart:.4f}", flush=True)


if __name__ == "__main__":
    main()
