"""Whether an emitted simulator treats agents alike: P step(s, z) = step(P s, P z).

States, actions and draws of a population are reordered together, and so must be everything that
the module computes for it, while what it computes for other players must stay as it is. All draws
are explicit, so both sides are the same numbers and no statistics are involved: one difference
refutes. Sums of reals in another order round differently; integers must agree exactly, reals up to
1e-9. A difference that vanishes when all reals are shrunk by some 1e-9 is put down to rounding at a
threshold, and counted. Small differences of probabilities hardly show in samples, so the places
where finite draws change are compared too, at the first stage of each trial (`thresholds.py`).

A difference is shrunk: to few agents, a swap of two, one step, and values that are defaults where
the difference does not need others (`shrinking.py`), as in the shrinking of QuickCheck
(Claessen and Hughes 2000).
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene, uniform
from mfdsl.validating.counterexample import Counterexample
from mfdsl.validating.shrinking import persists, shrunk
from mfdsl.validating.situations import RELATIVE, Situation, broken, picked

MOST_AGENTS = 1 << 15  # agents of all games together
CONFIDENCE = 0.95
UNBOUNDED = 3.0  # actions without bounds are tried between minus and plus this


@dataclass(frozen=True)
class Effort:
    """How much is tried: `trials` times `batch` games of `agents`, `steps` steps each."""

    trials: int = 4
    batch: int = 64
    steps: int = 5
    agents: int = 8
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out for one population: a counterexample, or how many games agreed.

    `rounded` counts the games whose differences are put down to rounding.
    """

    population: str
    agents: int
    games: int
    steps: int
    rounded: int
    seconds: float
    counterexample: Counterexample | None


def equivariance(
    program: AgentProgram, population: str, effort: Effort | None = None, params: Any = None
) -> Outcome:
    """Compare a simulator with itself on reordered agents of a population.

    Games start from the initial law and everybody plays legal actions at random; odd trials start
    the clock late, so that rules that depend on time are met too.

    Raises:
        ValueError: the game has no population of that name, the program came without its model,
            the parameters are not float64, or the effort is none at all.
    """
    effort = effort or Effort()
    if min(effort.trials, effort.batch, effort.steps) < 1 or effort.agents < 2:
        raise ValueError(f"nothing to compare: {effort} needs a game, a step and two agents")
    field = _field(program, population)
    params = program.params() if params is None else params
    if params.unit.dtype != torch.float64:
        raise ValueError(f"agreement up to {RELATIVE:g} needs float64, not {params.unit.dtype}")
    began, games, rounded = time.perf_counter(), 0, 0
    numbers = _numbers(program, effort.agents)
    batch = max(1, min(effort.batch, MOST_AGENTS // sum(numbers.values())))
    for trial in range(effort.trials):
        seed = effort.seed * 1_000_003 + trial
        generator = torch.Generator().manual_seed(seed)
        suspicious = torch.zeros(batch, dtype=torch.bool)
        seen: list[Situation] = []
        late = trial % 2 == 1
        for situation in situations(program, params, numbers, batch, effort.steps, seed, late):
            seen.append(situation)
            if "initial" in situation.groups and field in program.fixed:
                continue  # files tell the agents apart there
            order = torch.rand(batch, numbers[field], generator=generator).argsort(1)
            unequal = broken(program, params, situation, field, order)
            wrong = torch.zeros(batch, dtype=torch.bool)
            for games_of_quantity in unequal.values():
                wrong |= games_of_quantity
            for game in wrong.nonzero()[:, 0].tolist():
                one, line = picked(situation, game), order[game : game + 1]
                if persists(program, params, one, field, line):
                    found = shrunk(program, params, seen, field, one, line)
                    spent = time.perf_counter() - began
                    agents = numbers[field]
                    return Outcome(population, agents, games, effort.steps, rounded, spent, found)
            suspicious |= wrong
        games += batch
        rounded += int(suspicious.sum())
    spent = time.perf_counter() - began
    return Outcome(population, numbers[field], games, effort.steps, rounded, spent, None)


def equivariance_certificate(outcome: Outcome) -> Certificate:
    """The outcome as the claim `equivariant(NAME)`: tested, or refuted with the shrunk values."""
    found = outcome.counterexample
    if found is None:
        share = -math.log(1 - CONFIDENCE) / outcome.games
        detail = (
            f"{outcome.games} games of {outcome.agents} agents in another order, {outcome.steps}"
            f" steps each, agree; at {CONFIDENCE:.0%} fewer than {share:.2%} of such games differ"
        )
        if outcome.rounded:
            detail += f"; {outcome.rounded} differ by rounding at a threshold"
    else:
        detail = found.sentence
    return Certificate(
        claim=f"equivariant({outcome.population})",
        subject=outcome.population,
        verdict="tested" if found is None else "refuted",
        method=("coupled noise", "random permutations", *(("shrinking",) if found else ())),
        rigor="samples",
        witness=None if found is None else found.witness,
        detail=detail,
        seconds=outcome.seconds,
    )


def permutation_certificates(
    program: AgentProgram, effort: Effort | None = None, params: Any = None
) -> tuple[Certificate, ...]:
    """The claim `equivariant(NAME)` for every population of a game.

    Raises:
        ValueError: the program came without its model.
    """
    names = [program.names[field] for field in program.populations]
    found = (equivariance(program, name, effort, params) for name in names)
    return tuple(equivariance_certificate(outcome) for outcome in found)


def situations(
    program: AgentProgram,
    params: Any,
    numbers: dict[str, int],
    batch: int,
    steps: int,
    seed: int,
    late: bool,
) -> Iterator[Situation]:
    """The start of some games with `numbers` of agents by field, then their stages one by one, and
    the first stage again for its probabilities.

    With `late` the clock starts at a random time.
    """
    module, place = program.module, params.unit
    generator = torch.Generator().manual_seed(seed)
    drawn = {"generator": generator, "dtype": place.dtype, "device": place.device}
    initial = module.draw_initial(batch, numbers, **drawn)
    yield Situation(0, {"initial": initial})
    state = _whole(module.init(params, initial), batch)
    end = program.horizon if program.kind == "finite" and program.horizon else 10 * steps
    last = max(0, end - steps)
    first = int(torch.randint(last + 1, (), generator=generator)) if late else 0
    actor = _bounded(program)
    stages: list[Situation] = []
    for t in range(first, min(first + steps, end)):
        now = torch.tensor(t, dtype=torch.int64, device=place.device)
        agents = {program.names[field]: number for field, number in numbers.items()}
        action = uniform(Scene(actor, params, t, now, state, batch, agents, seed))
        noise = module.draw_noise(batch, numbers, **drawn)
        stages.append(Situation(t, {"state": state, "action": action, "noise": noise}))
        yield stages[-1]
        state = _whole(module.step(params, now, state, action, noise)[0], batch)
    yield replace(stages[0], thresholds=True)


def _field(program: AgentProgram, population: str) -> str:
    """The field of a population in the module's tuples."""
    if program.model is None:
        raise ValueError("a permutation test needs the model of the game beside its module")
    for field in program.populations:
        if program.names[field] == population:
            return field
    raise ValueError(f"{program.name} has no population {population!r}")


def _numbers(program: AgentProgram, agents: int) -> dict[str, int]:
    """The agents of each population by field: those of files, or as many as are wanted."""
    asked = program.module.AGENTS
    return {f: asked[f] if f in program.fixed else agents for f in program.populations}


def _whole(state: Any, batch: int) -> Any:
    """States with a full batch axis."""
    groups = {
        field: type(part)(*(v.expand(batch, *v.shape[1:]) for v in part))
        for field, part in state._asdict().items()
    }
    return type(state)(**groups)


def _bounded(program: AgentProgram) -> AgentProgram:
    """The program with bounds for actions without, so that a uniform law on them exists."""
    assert program.model is not None
    model, types = program.model, list(program.model.types)
    for action in (a for player in model.players for a in player.actions):
        kind = types[action.type]
        if kind.kind == "real" and kind.ball is None and (kind.lo is None or kind.hi is None):
            low = -UNBOUNDED if kind.lo is None else kind.lo
            high = low + 2 * UNBOUNDED if kind.hi is None else kind.hi
            low = high - 2 * UNBOUNDED if kind.lo is None else low
            types[action.type] = kind.model_copy(update={"lo": low, "hi": high})
    return replace(program, model=model.model_copy(update={"types": tuple(types)}))
