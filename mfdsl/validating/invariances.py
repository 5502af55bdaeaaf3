"""Games moved by a map that is claimed to leave them as they are: `require invariant(...)`.

Along simulated games every member is moved to its image. Rewards and masks must stay, and the next
states go to the images of the next states, with the same draws or with mirrored ones (u to 1 - u,
z to -z). Where neither set of draws shows it and there are draws, next states are not judged: the
map may lead to other draws of the same law.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.agents import AgentProgram
from mfdsl.validating.claimed_maps import ClaimedMap, claimed_maps
from mfdsl.validating.excess import CODE
from mfdsl.validating.outcome import Excess, Row, Trial
from mfdsl.validating.permutation import situations
from mfdsl.validating.situations import Key, Situation, outputs

NAME = "invariances"
AGENTS = 6
GAMES = 4
STEPS = 6
RELATIVE = 1e-9
ALMOST_ONE = 1 - 2.0**-53


@dataclass(frozen=True)
class Broken:
    """A quantity of one game that a map changes, with the largest difference."""

    quantity: str
    t: int
    game: int
    apart: float


def invariance_row(trial: Trial) -> tuple[Row, tuple[Excess, ...]]:
    """All claimed maps beside what the emitted simulator does."""
    maps = claimed_maps(trial.game)
    if not maps:
        return Row(NAME, "not applicable", "no population claims an invariance"), ()
    program, exceeded, judged = trial.game.agents, [], 0
    for claimed in maps:
        broken, stages = walked(program, claimed, trial.seed)
        judged += stages
        if broken is None:
            continue
        detail = f"{claimed.text} of {claimed.population}: {broken.quantity} changes by"
        detail += f" {broken.apart:.4g} at t = {broken.t}"
        if claimed.proved:
            values = {**vars(broken), "agents": AGENTS}
            exceeded.append(Excess(claimed.text, claimed.population, 0.0, broken.apart, values))
            detail = f"{CODE}: {detail}"
        return Row(NAME, "failed", detail), tuple(exceeded)
    shown = ", ".join(dict.fromkeys(m.text for m in maps))
    figures = {"maps": len(maps), "stages_with_next_states": judged}
    detail = f"{GAMES * STEPS} situations stay as they are under each of: {shown}"
    if not judged:
        detail += "; next states are not compared, their draws are moved"
    return Row(NAME, "passed", detail, figures), ()


def walked(program: AgentProgram, claimed: ClaimedMap, seed: int) -> tuple[Broken | None, int]:
    """The first quantity that a map changes, and at how many stages next states were compared."""
    field = next(f for f, name in program.names.items() if name == claimed.population)
    asked = program.module.AGENTS
    numbers = {f: asked[f] if f in program.fixed else AGENTS for f in program.populations}
    params, judged = program.params(), 0
    for now in situations(program, params, numbers, GAMES, STEPS, seed, late=False):
        if "initial" in now.groups or now.thresholds:
            continue
        before = outputs(program, params, now)
        wanted = _images(program, claimed, field, now, before)
        tried = []
        for draws in (now, mirrored(program, now)):
            after = outputs(program, params, _moved(program, claimed, field, draws))
            tried.append(_compared(wanted, after, now.t))
            if not tried[-1]:
                break
        if not tried[-1]:
            judged += 1
            continue
        drawn = any(len(part) for part in now.groups["noise"])
        sure = [b for b in tried[0] if not drawn or b.quantity in _unmoved(tried)]
        if sure:
            return sure[0], judged
    return None, judged


def _unmoved(tried: list[list[Broken]]) -> set[str]:
    """Quantities that change by the same with both sets of draws, so that draws do not matter."""
    apart = [{b.quantity: b.apart for b in found} for found in tried]
    return {
        name
        for name, value in apart[0].items()
        if not name.startswith("next ") and apart[-1].get(name) == value
    }


def _compared(wanted: Mapping[Key, Tensor], after: Mapping[Key, Tensor], t: int) -> list[Broken]:
    found = []
    for key, value in wanted.items():
        apart = (value.double() - after[key].double()).abs()
        size = value.double().abs().expand(apart.shape).reshape(len(apart), -1)
        apart = apart.reshape(len(apart), -1)
        far = apart > RELATIVE * size.clamp(min=1.0)
        if far.any():
            worst = int(apart.amax(1).argmax())
            found.append(Broken(key[1], t, worst, float(apart[worst].max())))
    return found


def mirrored(program: AgentProgram, situation: Situation) -> Situation:
    """The situation with all draws of members mirrored."""
    noise = situation.groups["noise"]
    changed = {}
    for field in program.populations:
        part = noise._asdict().get(field)
        if part is None:
            continue
        laws = program.module.NOISES[field]
        values = {
            name: (ALMOST_ONE - v).clamp(min=0.0) if laws[name][0][0] == "uniform" else -v
            for name, v in part._asdict().items()
        }
        changed[field] = type(part)(**values)
    groups = {**situation.groups, "noise": noise._replace(**changed)}
    return replace(situation, groups=groups)


def _moved(
    program: AgentProgram, claimed: ClaimedMap, field: str, situation: Situation
) -> Situation:
    """The situation with all members at their images."""
    images = _values(program, claimed, field, situation.groups["state"], situation.groups["action"])
    groups = dict(situation.groups)
    for group in ("state", "action"):
        part = groups[group]._asdict().get(field)
        if part is None:
            continue
        names = dict(zip(program.variables(field, group), part._fields, strict=True))
        new = {names[n]: v for n, v in images.items() if n in names}
        groups[group] = groups[group]._replace(**{field: part._replace(**new)})
    return replace(situation, groups=groups)


def _images(
    program: AgentProgram,
    claimed: ClaimedMap,
    field: str,
    now: Situation,
    before: Mapping[Key, Tensor],
) -> dict[Key, Tensor]:
    """What the moved situation should lead to: rewards as before, images of the next states."""
    wanted = {k: v for k, v in before.items() if "reward" in k[1]}
    actions = {a.name for p in claimed.model.populations for a in p.actions}
    if not actions & set(claimed.images):
        wanted |= {k: v for k, v in before.items() if k[1] == "legal actions"}
    state = now.groups["state"]
    part = getattr(state, field)
    nexts = {n: before[field, f"next {n}"] for n in part._fields if (field, f"next {n}") in before}
    whole = {n: v.expand(getattr(part, n).shape) for n, v in nexts.items()}
    after = state._replace(**{field: part._replace(**whole)})
    images = _values(program, claimed, field, after, now.groups["action"])
    names = dict(zip(program.variables(field, "state"), part._fields, strict=True))
    for name, place in names.items():
        if place in nexts:
            wanted[field, f"next {place}"] = images.get(name, whole[place])
    return wanted


def _values(
    program: AgentProgram, claimed: ClaimedMap, field: str, state: Any, action: Any
) -> dict[str, Tensor]:
    """The images of all members, by variable, [B, N, ...]."""
    model, player = claimed.model, claimed.model.player(claimed.population)
    kinds = {v.name: model.types[v.type] for v in (*player.states, *player.traits, *player.actions)}
    traits = {t.name for t in player.traits}
    values: dict[tuple[str, str], Tensor] = {}
    for name, value in zip(program.variables(field, "state"), getattr(state, field), strict=True):
        values["trait" if name in traits else "state", name] = value
    own = action._asdict().get(field)
    if own is not None:
        for name, value in zip(program.variables(field, "action"), own, strict=True):
            values["action", name] = value
    places = next(iter(values.values())).shape[:2]
    found: dict[str, list[Any]] = {name: [] for name in claimed.images}
    for b, i in np.ndindex(*places):
        member = {key: _plain(v[b if len(v) > 1 else 0, i]) for key, v in values.items()}
        for name, node in claimed.images.items():
            here = evaluate(model, node, Environment(own=member))
            found[name].append(_wrapped(kinds[name], here))
    old = {key[1]: v for key, v in values.items()}
    return {
        name: torch.as_tensor(np.array(column), dtype=torch.float64)
        .to(old[name].dtype)
        .reshape(*places, *old[name].shape[2:])
        for name, column in found.items()
    }


def _plain(value: Tensor) -> Any:
    return value.numpy() if value.ndim else value.item()


def _wrapped(kind: Type, value: Any) -> Any:
    """A value on a ring put back between its ends."""
    if not kind.periodic or kind.lo is None or kind.hi is None:
        return value
    size = kind.hi - kind.lo + (kind.kind != "real")
    return kind.lo + np.mod(value - kind.lo, size)
