"""Secants of the running game between two laws, beside the Lipschitz constants that are proved.

Two situations differ in some agents of one population: those become others, or move a little. What
the other agents are paid and where they go, with the same draws, may differ by at most the constant
times the distance of the two empirical laws. That distance is bounded by pairing each agent with
itself, which can only make a secant smaller: no false alarm, but no sharpness either. Of tabular
games, the tables are compared at two laws as well, whose l1 distance is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.effort import SECONDS
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Source, Subject
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.analysis.subjects import interactions
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.runtime.agents import AgentProgram
from mfdsl.validating.each_draw import at_each_draw
from mfdsl.validating.excess import CODE
from mfdsl.validating.outcome import Excess, Row, Trial, left
from mfdsl.validating.permutation import situations
from mfdsl.validating.situations import Situation

NAME = "slopes"
AGENTS = 8
GAMES = 128
STEPS = 2
TRIALS = 40
RELATIVE = 1e-9
ROUNDING = 1e-12
MOST_ENTRIES = 1 << 22
SHIFTS = (1.0, 0.1, 1e-3)


@dataclass(frozen=True)
class Claim:
    """A constant of a reward or the dynamics of `player` in the law of a population."""

    player: Player
    subject: Subject
    source: Source
    certificate: Certificate

    @property
    def proved(self) -> bool:
        """Whether there is a bound that holds everywhere."""
        return self.certificate.verdict == "proved" and self.certificate.upper is not None

    @property
    def name(self) -> str:
        """The claim as a spec writes it, with the players."""
        population = self.source.population
        assert population is not None
        return f"lipschitz({self.subject.name} of {self.player.name}, {population.name})"


@dataclass
class Best:
    """The steepest secant of each claim so far, by its name."""

    slopes: dict[str, float] = field(default_factory=dict)
    secants: int = 0
    excess: Excess | None = None


def judged_interactions(model: Model, effort: str = "default") -> tuple[Claim, ...]:
    """What is known of the slopes of all rewards and dynamics in all laws, proved or not."""
    if not SECONDS[effort]:
        return ()
    slopes = (c for c in regularity(model, effort) if c.claim.startswith("lipschitz("))
    found = zip(interactions(model, facts_of(model)), slopes, strict=True)
    return tuple(
        Claim(player, subject, source, certificate)
        for (player, subject, source), certificate in found
    )


def slope_row(
    trial: Trial, claims: Sequence[Claim], until: float
) -> tuple[Row, tuple[Excess, ...]]:
    """Secants of everything that has a proved constant, as many as fit."""
    if any(player.weights for player in trial.game.model.players):
        reason = "weights between single agents: the constants are about laws"
        return Row(NAME, "not applicable", reason), ()
    if not claims:
        return Row(NAME, "not applicable", "no Lipschitz constant is proved"), ()
    best = Best()
    facts = facts_of(trial.game.model)
    drawn = [c for c in claims if at_each_draw(facts, c.player, c.subject, c.source)]
    for number in range(TRIALS):
        if (number and left(until) <= 0) or best.excess is not None:
            break
        _between_agents(trial, drawn, number, best)
        _between_tables(trial, claims, number, best)
    if best.excess is not None:
        e = best.excess
        detail = f"{CODE}: {e.claim}: a secant of {e.found:.9g}, proved is {e.bound:.9g}"
        return Row(NAME, "failed", detail), (e,)
    unseen = [c.name for c in claims if c.name not in best.slopes]
    tops = {c.name: c.certificate.upper for c in claims if c.name in best.slopes}
    if not tops:
        reason = "laws of next states and means over noises are not compared without tables"
        return Row(NAME, "not applicable", reason), ()
    near = max(tops, key=lambda n: best.slopes[n] / max(tops[n] or 0.0, 1e-300))
    detail = (
        f"{best.secants:,} secants of {len(tops)} constants stay below, the nearest"
        f" {best.slopes[near]:.4g} of {tops[near]:.4g}: {near}"
    )
    detail += f"; not compared without tables: {', '.join(unseen)}" if unseen else ""
    figures = {
        "secants": best.secants,
        "constants": {n: {"seen": best.slopes[n], "proved": tops[n]} for n in tops},
        "not_compared": unseen,
    }
    return Row(NAME, "passed", detail, figures), ()


def _record(
    best: Best, claim: Claim, change: Tensor, apart: Tensor, size: float, values: dict[str, Any]
) -> None:
    """Compare changes [B or 1, ...] with the constant times the distances [B] of the laws."""
    upper = claim.certificate.upper
    assert upper is not None
    worst = change.reshape(len(change), -1).amax(1).expand_as(apart) - ROUNDING * (1 + size)
    moved = apart > 0
    if not moved.any():
        return
    slope = torch.where(moved, worst / apart.clamp(min=1e-300), 0.0)
    game = int(slope.argmax())
    found = max(0.0, float(slope[game]))
    best.secants += int(moved.sum())
    best.slopes[claim.name] = max(found, best.slopes.get(claim.name, 0.0))
    if found > upper * (1 + RELATIVE) and best.excess is None:
        here = {"game": game, "distance": float(apart[game]), "change": float(worst[game])}
        best.excess = Excess(claim.name, claim.certificate.subject, upper, found, here | values)


def _between_agents(trial: Trial, claims: Sequence[Claim], number: int, best: Best) -> None:
    """Secants of the emitted simulator between situations that differ in some agents."""
    program = trial.game.agents
    params = program.params()
    asked = program.module.AGENTS
    numbers = {f: asked[f] if f in program.fixed else AGENTS for f in program.populations}
    batch = max(4, min(GAMES, 4096 // sum(numbers.values())))
    seed = trial.seed * 1_000_003 + 2 * number
    late = number % 2 == 1
    pairs = zip(
        situations(program, params, numbers, batch, STEPS, seed, late),
        situations(program, params, numbers, batch, STEPS, seed + 1, late),
        strict=False,
    )
    generator = torch.Generator().manual_seed(seed)
    for one, other in pairs:
        if "initial" in one.groups or one.thresholds:
            continue
        for population in _populations(claims):
            name = next(f for f, n in program.names.items() if n == population.name)
            moved = _moved(program, population, name, one, other, number, generator)
            mine = [c for c in claims if c.source.population == population]
            where = {"seed": seed, "t": one.t, "kind": "agents", "agents": dict(numbers)}
            _secants(program, params, mine, name, one, *moved, best, where)


def _populations(claims: Sequence[Claim]) -> list[Player]:
    found = {c.source.population.name: c.source.population for c in claims if c.source.population}
    return list(found.values())


def _moved(
    program: AgentProgram,
    population: Player,
    field: str,
    one: Situation,
    other: Situation,
    number: int,
    generator: torch.Generator,
) -> tuple[Situation, Tensor, Tensor]:
    """A situation with some agents changed, which [B, N], and how far each of them has gone.

    The distances are those of the finite variables (0 or 1) and of the real ones, [2, B, N].
    Traits stay.
    """
    traits = {t.name for t in population.traits}
    sample = getattr(one.groups["state"], field)
    count = next(iter(sample)).shape[1] if sample else AGENTS
    batch = one.batch
    chance = torch.rand(batch, 1, generator=generator)
    which = torch.rand(batch, count, generator=generator) < chance
    which[:, 0] = False
    shift = SHIFTS[number % len(SHIFTS)]
    apart = torch.zeros(2, batch, count, dtype=torch.float64)
    groups = dict(one.groups)
    for group in ("state", "action"):
        if not hasattr(one.groups[group], field):
            continue
        before, there = getattr(one.groups[group], field), getattr(other.groups[group], field)
        values = []
        for name, a, b in zip(
            program.variables(field, "state" if group == "state" else "action"),
            before,
            there,
            strict=True,
        ):
            a = a.expand(batch, *a.shape[1:])
            new = _shifted(a, b, which, shift) if name not in traits else a
            values.append(new)
            gap = (new != a).reshape(batch, count, -1).any(-1)
            if a.dtype.is_floating_point:
                apart[1] += ((new - a) ** 2).reshape(batch, count, -1).sum(-1)
            else:
                apart[0] = torch.maximum(apart[0], gap.double())
        part = type(before)(*values)
        groups[group] = groups[group]._replace(**{field: part})
    return replace(one, groups=groups), which, torch.stack([apart[0], apart[1].sqrt()])


def _shifted(a: Tensor, b: Tensor, which: Tensor, shift: float) -> Tensor:
    """Some agents on the way to others; finite values jump there."""
    mask = which.reshape(*which.shape, *[1] * (a.ndim - 2))
    if a.dtype.is_floating_point:
        return torch.where(mask, a + shift * (b - a), a)
    return torch.where(mask, b, a)


def _secants(
    program: AgentProgram,
    params: Any,
    claims: Sequence[Claim],
    field: str,
    one: Situation,
    two: Situation,
    which: Tensor,
    apart: Tensor,
    best: Best,
    where: dict[str, Any],
) -> None:
    """Everything with a constant in the law of one population, in two situations."""
    assert program.model is not None
    others = any("others" in node.op for node in program.model.nodes)
    count = which.shape[1] - 1 if others else which.shape[1]
    made = [_made(program, params, situation) for situation in (one, two)]
    for claim in claims:
        kind = (claim.certificate.norm or "l1").split(" ")[0]
        distance = 2 * apart[0].sum(1) / count
        if kind == "W1":
            distance = (apart[0] + apart[1]).sum(1) / count
        own = next(f for f, n in program.names.items() if n == claim.player.name)
        values = [_quantity(program, claim, own, m) for m in made]
        if values[0] is None or values[1] is None:
            continue
        change = _change(program, claim, values)
        if own == field:
            change = change.expand(which.shape) * ~which
        size = float(values[0][0].abs().max())
        _record(best, claim, change, distance, size, where)


def _made(program: AgentProgram, params: Any, situation: Situation) -> dict[str, Any]:
    """What the module makes of a situation."""
    module, groups = program.module, situation.groups
    now = torch.tensor(situation.t)
    played = (params, now, groups["state"], groups["action"], groups["noise"])
    after, rewards = module.step(*played)
    final = module.final_rewards(*played[:3]) if module.HAS_FINAL else None
    return {"dynamics": after, "reward": rewards, "final": final}


def _quantity(
    program: AgentProgram, claim: Claim, field: str, made: dict[str, Any]
) -> list[Tensor] | None:
    """The values that a constant is about; None where they are laws that are not seen."""
    group = made[claim.subject.name]
    if claim.subject.dynamics is None:
        value = getattr(group, field, None)
        return None if value is None else [value]
    assert program.model is not None
    kinds = [program.model.types[s.type] for s in claim.player.states]
    if all(kind.finite for kind in kinds):
        return None
    values = list(getattr(group, field))[: len(kinds)]
    return [v for v, kind in zip(values, kinds, strict=True) if not kind.finite]


def _change(program: AgentProgram, claim: Claim, values: Sequence[Any]) -> Tensor:
    """How much values differ: rewards absolutely, next states in the Euclidean norm, on rings."""
    before, after = values
    if claim.subject.dynamics is None:
        change: Tensor = (before[0] - after[0]).abs()
        return change
    assert program.model is not None
    kinds = [program.model.types[s.type] for s in claim.player.states]
    lead = 2 if claim.player.kind == "population" else 1
    total: Tensor = torch.zeros(())
    for kind, a, b in zip([k for k in kinds if not k.finite], before, after, strict=True):
        gap = (a - b).abs()
        if kind.periodic and kind.lo is not None and kind.hi is not None:
            gap = torch.minimum(gap, float(kind.hi) - float(kind.lo) - gap)
        gap = gap.reshape(*gap.shape[:lead], -1)
        total = total + (gap**2).sum(-1)
    return total.sqrt()


def _between_tables(trial: Trial, claims: Sequence[Claim], number: int, best: Best) -> None:
    """Secants of the tables of a tabular game, at two laws some way apart."""
    if not trial.game.model.tabular:
        return
    program = trial.game.program
    pairs = program.state_count * program.action_count
    if pairs * program.state_count > MOST_ENTRIES:
        return
    params, seed = program.params(), trial.seed * 1_000_003 + number
    generator = torch.Generator().manual_seed(seed)
    shape = (1, *program.states.values(), *program.actions.values())
    last = program.horizon if program.kind == "finite" and program.horizon else 8
    for shift in SHIFTS:
        t = torch.randint(last, (), generator=generator)
        legal = program.module.legal(params, t)[0].reshape(-1)
        one, two = (_law(legal, generator) for _ in range(2))
        two = one + shift * (two - one)
        laws = [law.reshape(shape) for law in (one, two)]
        apart = (one - two).abs().sum().reshape(1)
        where = {"seed": seed, "t": int(t), "kind": "tables", "shift": shift}
        for claim in claims:
            values = [_table(program, claim, params, t, law) for law in laws]
            change = (values[0] - values[1]).abs()
            change = change.sum(-1) if claim.subject.dynamics is not None else change
            change = change.reshape(-1, legal.numel())[:, legal] if _paired(claim) else change
            _record(best, claim, change.reshape(1, -1), apart, float(values[0].abs().max()), where)


def _paired(claim: Claim) -> bool:
    """Whether a table has an entry for each pair of state and action."""
    return claim.subject.name != "final"


def _table(program: Any, claim: Claim, params: Any, t: Tensor, law: Tensor) -> Tensor:
    """Rewards [1, S A], final rewards [1, S], or the kernel [1, S A, S] at a law."""
    module, actions = program.module, program.action_count
    if claim.subject.dynamics is not None:
        kernel: Tensor = module.kernel(params, t, law)
        return kernel.reshape(len(kernel), -1, program.state_count)
    if claim.subject.name == "final":
        states = law.reshape(1, *program.states.values(), actions).sum(-1)
        final: Tensor = module.final_rewards(params, t, states)
        return final.reshape(len(final), -1)
    rewards: Tensor = module.rewards(params, t, law)
    return rewards.reshape(len(rewards), -1)


def _law(legal: Tensor, generator: torch.Generator) -> Tensor:
    """A random law on the legal pairs: concentrated on few of them, or spread out."""
    weights = torch.rand(legal.shape, generator=generator, dtype=torch.float64)
    power = 1 + 30 * torch.rand((), generator=generator, dtype=torch.float64)
    weights = weights**power * legal
    return weights / weights.sum()
