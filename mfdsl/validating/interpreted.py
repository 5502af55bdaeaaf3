"""The emitted simulator against the reference interpreter, from the same states and draws.

The interpreter (`compiler.ir.play`) evaluates the model agent by agent with plain loops. Finite
values must be equal, reals agree up to 1e-9. It is slow, so there are few agents and few stages.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.compiler.ir import play
from mfdsl.compiler.ir.model import Model
from mfdsl.runtime.agents import AgentProgram
from mfdsl.validating.outcome import Row, Trial, left
from mfdsl.validating.permutation import situations
from mfdsl.validating.situations import Situation

NAME = "interpreter"
AGENTS = 4
STEPS = 2
TRIALS = 40
MOST_FIXED = 64  # agents in files up to which the interpreter is quick enough
AGREE = 1e-9

Nested = dict[str, dict[str, Any]]


def interpreter_row(trial: Trial, until: float) -> Row:
    """Starts, stages and final rewards of the module beside those of the interpreter."""
    program, model = trial.game.agents, trial.game.model
    asked = program.module.AGENTS
    numbers = {f: asked[f] if f in program.fixed else AGENTS for f in program.populations}
    if any(number > MOST_FIXED for number in numbers.values()):
        most = max(numbers.values())
        return Row(NAME, "not applicable", f"files give {most:,} agents, too many to interpret")
    params, worst, count, games = program.params(), 0.0, 0, 0
    agents = {program.names[field]: n for field, n in numbers.items()}
    for number in range(TRIALS):
        if number and left(until) <= 0:
            break
        seed = trial.seed * 1_000_003 + number
        late = number % 2 == 1
        for situation in situations(program, params, numbers, 1, STEPS, seed, late):
            if situation.thresholds:
                continue
            for player, name, expected, found in compared(
                model, program, params, agents, situation
            ):
                gap = difference(expected, found)
                count += found.size
                if gap > AGREE:
                    return _failed(player, name, situation, expected, found)
                worst = max(worst, gap)
        games += 1
    detail = f"{count:,} values of {games} games agree to {worst:.1g}"
    figures = {"games": games, "values": count, "difference": worst, "agents": AGENTS}
    return Row(NAME, "passed", detail, figures)


def _failed(
    player: str, name: str, situation: Situation, expected: np.ndarray, found: np.ndarray
) -> Row:
    flat = np.abs(np.nan_to_num(found) - np.nan_to_num(expected)).reshape(-1)
    place = int(flat.argmax())
    wanted, seen = expected.reshape(-1)[place], found.reshape(-1)[place]
    detail = (
        f"{name} of {player} at t = {situation.t} is {seen:.9g} in the simulator,"
        f" {wanted:.9g} in the interpreter"
    )
    figures = {"player": player, "quantity": name, "t": situation.t}
    return Row(NAME, "failed", detail, figures | {"found": float(seen), "expected": float(wanted)})


def compared(
    model: Model,
    program: AgentProgram,
    params: Any,
    agents: Mapping[str, int],
    situation: Situation,
) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """Everything that both make of a situation: (player, quantity, interpreted, simulated).

    `agents` are the numbers of agents by population.
    """
    groups, module = situation.groups, program.module
    if "initial" in groups:
        expected = play.initial_states(model, _plain(program, groups["initial"]), agents)
        return _pairs(expected, _plain(program, module.init(params, groups["initial"])), "{} at 0")
    now = torch.tensor(situation.t)
    played = (params, now, groups["state"], groups["action"], groups["noise"])
    states = _plain(program, groups["state"])
    after, rewards = module.step(*played)
    expected, terms = play.step(
        model,
        situation.t,
        states,
        _plain(program, groups["action"]),
        _plain(program, groups["noise"]),
    )
    pairs = _pairs(expected, _plain(program, after), "next {}")
    pairs += _pairs(_totals(terms), _paid(program, rewards), "{}")
    if module.HAS_FINAL:
        ended = _totals(play.final_rewards(model, situation.t, states))
        paid = _paid(program, module.final_rewards(*played[:3]))
        pairs += _pairs(ended, paid, "final {}")
    return pairs


def difference(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest relative difference; infinite where only one is finite."""
    both = np.isfinite(expected) & np.isfinite(found)
    if not np.array_equal(np.isfinite(expected), np.isfinite(found)):
        return float("inf")
    scale = 1 + np.abs(expected[both])
    return float((np.abs(expected - found)[both] / scale).max(initial=0.0))


def _pairs(
    expected: Mapping[str, Mapping[str, Any]], found: Nested, pattern: str
) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    pairs = []
    for player, values in expected.items():
        for name, value in values.items():
            wanted, seen = (np.asarray(v, dtype=float) for v in (value, found[player][name]))
            pairs.append(
                (player, pattern.format(name), wanted, np.broadcast_to(seen, wanted.shape))
            )
    return pairs


def _totals(terms: Mapping[str, Mapping[str, Any]]) -> Nested:
    """Rewards of the players from their terms."""
    return {
        player: {"reward": sum(np.asarray(v, dtype=float) for v in values.values())}
        for player, values in terms.items()
    }


def _paid(program: AgentProgram, rewards: Any) -> Nested:
    return {
        program.names[field]: {"reward": value[0].numpy()}
        for field, value in rewards._asdict().items()
    }


def _plain(program: AgentProgram, group: Any) -> Nested:
    """The tensors of one game as numbers, lists and arrays, by the names of the spec."""
    found: Nested = {}
    for field, values in group._asdict().items():
        several = program.players[field] == "population"
        names = _names(program, type(group).__name__, field, values)
        found[program.names[field]] = {
            name: _numbers(value[0], several) for name, value in zip(names, values, strict=True)
        }
    return found


def _numbers(value: Tensor, several: bool) -> Any:
    rows = value.numpy()
    if several:
        return [row.item() if np.ndim(row) == 0 else row for row in rows]
    return rows.item() if np.ndim(rows) == 0 else rows


def _names(program: AgentProgram, kind: str, field: str, values: Any) -> tuple[str, ...]:
    """Names in the spec of the entries of a player's tuple."""
    assert program.model is not None
    player = program.model.player(program.names[field])
    if kind == "State":
        return program.variables(field, "state")
    if kind == "Action":
        return program.variables(field, "action")
    if kind == "Noise":
        return tuple(noise.name for noise in player.noises)
    drawn = [v.name for v in (*player.traits, *player.states) if v.initial is not None]
    drawn += [draw.name for draw in player.draws if draw.given is None]
    return tuple(drawn) if drawn else tuple(values._fields)
