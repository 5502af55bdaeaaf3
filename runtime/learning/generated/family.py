"""Families of games: one spec at many values of its parameters, and what its agents see of them.

Initial laws of a family are those of a spec whose law at t = 0 has parameters. In a family policies
read the law, as the mean of an encoder over the members; the generator draws these while policies
learn, and where they play they are the agents there. So one policy pi(a | x, t, law) answers all
initial laws, as in Perrin et al. 2022 (arXiv:2109.09717) and Wu et al. 2024 (arXiv:2403.03552).
Parameters that matter after the start are told to agents, those of the start alone are not.
"""

import re
import types
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, Named, Node, Parameter, Player
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import reachable
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.learning.base import Lesson, LessonError
from mfdsl.runtime.learning.generated.frozen import Arena
from mfdsl.runtime.learning.sight import model_of

HELD = 4  # games that nobody trains on
EXAMPLE = '`--opt vary="m0=-1..1 kappa=0.5..2"`'


@dataclass(frozen=True)
class Range:
    """The values of one parameter: its name in the spec and in the module, and its ends."""

    name: str
    field: str
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Family:
    """Games that differ in the values of some parameters.

    `values` [C, k] are those that are trained on, the spec's own first (wherever they are), `held`
    [H, k] others from the ranges. Without ranges there is one game and nothing to tell, k = 0.
    """

    ranges: tuple[Range, ...]
    values: Tensor
    held: Tensor

    @property
    def single(self) -> bool:
        """Whether there is only the game itself."""
        return not self.ranges

    def told(self, values: Tensor) -> Tensor:
        """What a generator is told of games [B, k]: their values, from -1 to 1."""
        low = values.new_tensor([r.low for r in self.ranges])
        high = values.new_tensor([r.high for r in self.ranges])
        return (2 * values - low - high) / (high - low)

    def moments(self, values: Tensor, share: Tensor) -> Tensor:
        """The parts [T] of the horizon of each of the games [B, k], [B * T, 1 + k] with what a
        generator is told of them.
        """
        told = self.told(values)[:, None].expand(-1, len(share), -1)
        times = share.expand(len(values), -1)[..., None]
        return torch.cat([times, told.to(share)], -1).flatten(0, 1)

    def at(self, arena: Arena, values: Tensor) -> Arena:
        """The arena of games with these values [B, k]; one game has no axis of games."""
        unit = arena.params.unit
        columns = values[0] if len(values) == 1 else values.T
        changes = {r.field: c.to(unit) for r, c in zip(self.ranges, columns, strict=True)}
        return replace(arena, params=arena.params._replace(**changes))

    def each(self, arena: Arena) -> list[Arena]:
        """The arenas of the games that are trained on, one by one."""
        return [self.at(arena, row[None]) for row in self.values]


def family_of(lesson: Lesson, vary: str, count: int) -> Family:
    """The family that `vary` asks for: `count` games, and `HELD` that nobody trains on.

    Raises:
        LessonError: no such parameter, or values that it cannot have.
    """
    ranges = tuple(_range(lesson.program, lesson.params, part) for part in vary.split())
    names = [r.name for r in ranges]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise LessonError(f"`vary` has `{twice}` twice", EXAMPLE)
    if not ranges:
        return Family((), torch.zeros(1, 0), torch.zeros(0, 0))
    own = torch.tensor([[float(getattr(lesson.params, r.field)) for r in ranges]])
    drawn = _spread(ranges, count - 1, lesson.seed)
    return Family(ranges, torch.cat([own, drawn]), _spread(ranges, HELD, lesson.seed + (1 << 30)))


def _range(program: AgentProgram, params: Any, part: str) -> Range:
    model = model_of(program)
    name, _, ends = part.partition("=")
    low, _, high = ends.partition("..")
    try:
        low_end, high_end = float(low), float(high)
    except ValueError:
        raise LessonError(f"`vary` has `{part}`, which is no name=low..high", EXAMPLE) from None
    symbols = [p for p in model.parameters if not p.structural]
    fields = dict(zip((p.name for p in symbols), params._fields[1:], strict=True))
    parameter = next((p for p in model.parameters if p.name == name), None)
    if parameter is None or name not in fields:
        known = ", ".join(p.name for p in symbols if model.types[p.type].kind == "real")
        why = "is no parameter of" if parameter is None else "fixes sizes or the horizon of"
        raise LessonError(f"`{name}` {why} {program.name} and cannot vary", f"real ones: {known}")
    _check_ends(model, parameter, low_end, high_end)
    return Range(name, fields[name], low_end, high_end)


def _check_ends(model: Model, parameter: Parameter, low: float, high: float) -> None:
    """Refuse what the spec does not allow the parameter to be."""
    kind, name = model.types[parameter.type], parameter.name
    if kind.kind != "real" or kind.dims:
        raise LessonError(f"`{name}` is no real number, so it has no values in between", EXAMPLE)
    if not low < high:
        raise LessonError(f"`{name}` goes from {low:g} to {high:g}, which is no range", EXAMPLE)
    if (kind.lo is not None and low < kind.lo) or (kind.hi is not None and high > kind.hi):
        raise LessonError(
            f"`{name}` is to vary from {low:g} to {high:g}, and the spec has"
            f" [{kind.lo}, {kind.hi}]",
            "a smaller range",
        )
    for condition in model.assumes:
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", condition):
            raise LessonError(
                f"`{name}` stands in a condition on parameters ({condition}), which is not checked"
                " at each of its values",
                "vary another parameter",
            )


def _spread(ranges: Sequence[Range], count: int, seed: int) -> Tensor:
    """Values [count, k], on every axis one in each of `count` equal parts (McKay et al. 1979)."""
    draws = torch.Generator().manual_seed(seed)
    columns = []
    for r in ranges:
        place = (torch.randperm(count, generator=draws) + torch.rand(count, generator=draws)) / max(
            1, count
        )
        columns.append(r.low + (r.high - r.low) * place)
    return torch.stack(columns, -1)


def seeing(lesson: Lesson, family: Family) -> Lesson:
    """The lesson whose agents see what they see in a family.

    Raises:
        LessonError: see `shown`.
    """
    weighted = None if lesson.weighted is None else shown(lesson.weighted, family)
    return replace(lesson, program=shown(lesson.program, family), weighted=weighted)


def shown(program: AgentProgram, family: Family) -> AgentProgram:
    """The game as its agents see it in a family: with the law, and what they are told.

    Raises:
        LessonError: something is to be told, and the spec does not list what is seen.
    """
    if family.single:
        return program
    model = model_of(program)
    player = model.players[0]
    known = {named.name for named in player.observe}
    ranges = [r for r in lasting(model, family) if r.name not in known]
    if ranges and not player.observe:
        raise LessonError(
            f"agents of {program.name} are to know `{ranges[0].name}`, and the spec lists nothing"
            " that they see",
            "write `observe` with the states and `t`",
        )
    nodes, kinds, names = list(model.nodes), list(model.types), list(player.observe)
    for r in ranges:
        names.append(Named(name=r.name, node=len(nodes)))
        nodes.append(Node(op="param", attr=r.name, type=len(kinds)))
        kinds.append(Type(kind="real", lo=r.low, hi=r.high))
    seen = player.model_copy(update={"observe": tuple(names), "observes_law": (player.name,)})
    changed = model.model_copy(
        update={"nodes": tuple(nodes), "types": tuple(kinds), "players": (seen,)}
    )
    return replace(program, model=changed, module=_telling(program.module, player.name, ranges))


def lasting(model: Model, family: Family) -> list[Range]:
    """The ranges of parameters that matter after the start."""
    later = [root for player in model.players for root in _later(player)]
    reached = (model.nodes[k] for k in reachable(model.nodes, later))
    found = {node.attr for node in reached if node.op == "param"}
    return [r for r in family.ranges if r.name in found]


def _later(player: Player) -> list[int]:
    """The nodes of a player that say what happens after agents have been drawn."""
    roots = [v.next for v in player.states] + [player.legal]
    roots += [n.density for n in player.noises] + [term.node for term in player.rewards]
    return [root for root in roots if root is not None]


def _telling(module: types.ModuleType, name: str, ranges: Sequence[Range]) -> types.ModuleType:
    """The module with parameters among what its agents observe."""
    found = types.ModuleType(module.__name__, module.__doc__)
    found.__dict__.update(vars(module))

    def observe(p: Any, t: Tensor, s: Any) -> dict[str, dict[str, Tensor]]:
        """What policies may read, by the names of the spec."""
        seen: dict[str, dict[str, Tensor]] = module.observe(p, t, s)
        more = {r.name: getattr(p, r.field) for r in ranges}
        return {**seen, name: {**seen.get(name, {}), **more}} if more else seen

    found.observe = observe  # type: ignore[attr-defined]
    return found
