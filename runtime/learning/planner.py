"""The lifted policy of major-minor mean-field control: from (common state, laws) to decision rules.

Cui et al. 2024, arXiv:2303.10665: one action of the upper level is a decision rule for every
population and an action for every major; agents draw from the rule given their own states. With
centralised execution all agents follow one draw of the upper action; decentralised, everybody draws
an upper action of one's own and follows one's own row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.learning.actor import Shape, Trunk
from mfdsl.runtime.learning.encoders import FIXED, encoder
from mfdsl.runtime.learning.experience import ActionLaws, Choice
from mfdsl.runtime.learning.eyes import Eyes, View, Widths
from mfdsl.runtime.learning.heads import LOG_STD, ActionLaw, Drawn, Head
from mfdsl.runtime.learning.pathwise import Move
from mfdsl.runtime.learning.rules import Rule, RuleKind
from mfdsl.runtime.learning.sight import Crowd, Feature, Sight, model_of, sights_of, values_seen
from mfdsl.runtime.streams import draw

Entries = Literal["tanh", "clip", "released"]
Execution = Literal["centralised", "decentralised"]
PLANNER = "planner"


@dataclass(frozen=True)
class Plan:
    """How rules are made: cells in each direction (and for single variables), kernels, entries.

    `entries` bring numbers into [-1, 1]: tanh, clip, or as in the released code both.
    """

    bins: int = 7
    cells: Mapping[str, int] | None = None
    kind: RuleKind = "bins"
    softmax: bool = False
    entries: Entries = "tanh"
    log_std: float = 0.0
    hidden: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


class Upper(nn.Module):
    """The law of the upper action in each game: entries of all rules, then what majors do.

    Its real numbers are the first of the trunk's, those of rules before those of majors.
    """

    def __init__(
        self, widths: Widths, rules: int, majors: Head, shape: Shape, log_std: float
    ) -> None:
        super().__init__()
        self.rules, self.majors = rules, majors
        self.trunk = Trunk(*widths, rules + majors.width_in, shape, 0.01)
        self.log_std = nn.Parameter(torch.full((rules,), log_std))

    def forward(self, view: View, mask: Tensor | None = None) -> ActionLaw:
        """The law of the upper action [B, ...]."""
        numbers: Tensor = self.trunk(view)
        log_std = self.log_std.clamp(*LOG_STD)
        rest = self.majors.law(numbers[..., self.rules :], mask)
        if rest.log_std is not None:
            log_std = torch.cat([log_std, rest.log_std])
        mean = numbers if rest.logits is None else numbers[..., : len(log_std)]
        return ActionLaw(mean, log_std, rest.logits)


class Overview(nn.Module):
    """What the planner sees: everything common and every law that some player sees, once each.

    Where the encoder of `shape` is a fixed one, integrals of laws are common entries, so that they
    are taken once for all networks and all passes. Histograms of populations have the `cells` of
    rules.
    """

    def __init__(
        self, sights: tuple[Sight, ...], model: Model, shape: Shape, cells: Mapping[str, int]
    ) -> None:
        super().__init__()
        common: dict[str, tuple[str, Feature]] = {}
        points: dict[str, tuple[str, Feature]] = {}
        crowds: dict[str, Crowd] = {}
        for sight in sights:
            for feature in sight.common:
                common.setdefault(_whole(sight, feature), (sight.player, feature))
            for feature in sight.points:
                points.setdefault(_whole(sight, feature), (sight.player, feature))
            crowds |= {crowd.name: crowd for crowd in sight.crowds}
        self.parts: list[tuple[Sight, Eyes]] = []
        modules = []
        for sight in sights:
            mine = replace(
                sight,
                single=True,
                own=(),
                common=tuple(f for player, f in common.values() if player == sight.player),
                points=tuple(f for player, f in points.values() if player == sight.player),
                crowds=tuple(crowds.values()) if sight is sights[0] else (),
                actions=(),
            )
            if mine.common or mine.points or mine.crowds:
                eyes = Eyes(mine, model)
                modules.append(eyes)
                self.parts.append((sight, eyes))
        self.eyes = nn.ModuleList(modules)
        laws = tuple(w for eyes in modules for w in eyes.celled(cells))
        width = sum(eyes.common_width for eyes in modules)
        fixed = laws if shape.encoder in FIXED else ()
        self.encoders = [encoder(shape.encoder, w, 0, 0, shape.bins) for w in fixed]
        width += sum(encode.width for encode in self.encoders)
        self.widths: Widths = (0, width, () if fixed else laws)

    def forward(self, seen: Mapping[str, dict[str, Tensor]], state: Any, batch: int) -> View:
        """The view of B games."""
        views = [
            eyes(_singly(seen[sight.player], sight), state, batch) for sight, eyes in self.parts
        ]
        common = torch.cat([view.common for view in views], -1)
        laws = tuple(law for view in views for law in view.laws)
        weights = tuple(weight for view in views for weight in view.weights)
        if not self.encoders:
            return View(None, common, laws, weights)
        pairs = zip(self.encoders, laws, weights, strict=True)
        read = [encode(law, weight) for encode, law, weight in pairs]
        return View(None, torch.cat([*read, common], -1), (), ())

    def calibrate(self, seen: Mapping[str, dict[str, Tensor]], state: Any, batch: int) -> None:
        """Centre and scale what has no bounds."""
        for sight, eyes in self.parts:
            eyes.calibrate(_singly(seen[sight.player], sight), state, batch)


def _whole(sight: Sight, feature: Feature) -> str:
    """The name of a common value, whoever sees it."""
    return (
        f"{sight.player}.{feature.name}"
        if sight.single and "." not in feature.name
        else feature.name
    )


def _singly(seen: dict[str, Tensor], sight: Sight) -> dict[str, Tensor]:
    """Common values without the axis of agents, along which they are constant."""
    if sight.single:
        return seen
    shown = {f.name: f for f in (*sight.common, *sight.points)}
    found = dict(seen)
    for name, feature in shown.items():
        value = seen[name]
        if value.ndim == len(feature.type.dims) + 2:
            found[name] = value[:, 0]
    return found


class Planner(nn.Module):
    """The lifted policy: view, upper law, rules."""

    def __init__(self, program: AgentProgram, shape: Shape, plan: Plan) -> None:
        super().__init__()
        self.program, self.plan = program, plan
        model = model_of(program)
        self.sights = sights_of(program, hidden=plan.hidden, shown=plan.shown)
        self.populations = [s for s in self.sights if not s.single]
        self.majors = [s for s in self.sights if s.single]
        self.overview = Overview(self.sights, model, shape, plan.cells or {})
        rules = [
            Rule(s, model, plan.bins, plan.cells or {}, plan.kind, softmax=plan.softmax)
            for s in self.populations
        ]
        self.rules = rules
        self.tables = nn.ModuleList(rules)
        features = tuple(
            Feature(f"{s.field}.{a.name}", a.type, True) for s in self.majors for a in s.actions
        )
        self.head = Head(features, "tanh", -0.5)
        count = sum(rule.size for rule in rules)
        self.upper = Upper(self.overview.widths, count, self.head, shape, plan.log_std)

    names = (PLANNER,)

    @property
    def widths(self) -> dict[str, Widths]:
        """How much the planner sees."""
        return {PLANNER: self.overview.widths}

    @property
    def laws(self) -> dict[str, ActionLaws]:
        """The law of the upper action, by name."""
        return {PLANNER: self.upper}

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """How everybody plays."""
        return Planned(self, mode)

    def views(self, scene: Scene) -> dict[str, View]:
        """What the planner sees."""
        seen = values_seen(self.program, scene.params, scene.time, scene.state)
        return {PLANNER: self.overview(seen, scene.state, scene.batch)}

    def mask(self, scene: Scene) -> Tensor | None:
        """Legal choices of all majors together [B, c], None where all are.

        Raises:
            ValueError: a population has masked actions, which rules do not know of.
        """
        legal = scene.program.module.legal(scene.params, scene.time, scene.state)
        whole = None
        for sight in self.majors:
            sizes = prod(a.type.size for a in sight.actions if a.type.finite)
            mine = legal.get(sight.field, legal.get(sight.player))
            if mine is None:
                device = scene.params.unit.device
                mine = torch.ones(scene.batch, sizes, dtype=torch.bool, device=device)
            mine = mine.expand(scene.batch, -1)
            whole = mine if whole is None else (whole[:, :, None] & mine[:, None]).flatten(1)
        return whole if any(s.field in legal or s.player in legal for s in self.majors) else None

    def choose(self, scene: Scene, number: int) -> tuple[dict[str, Choice], Any]:
        """The upper action of each game with the numbers of a step, and what all do by it."""
        view, mask = self.views(scene)[PLANNER], self.mask(scene)
        law = self.upper(view, mask)
        made = law.sample(*self.standard(scene, number))
        choice = Choice(view, made, mask, law.log_prob(made))
        return {PLANNER: choice}, self.action(made, scene, number)

    def move(self, scene: Scene, number: int, *, noisy: bool) -> Move:
        """The mean upper action of each game (or a random one), with gradients."""
        law = self.upper(self.views(scene)[PLANNER], self.mask(scene))
        made = law.sample(*self.standard(scene, number))
        if not noisy:
            made = Drawn(law.mean, made.index)
        score = None
        if law.logits is not None:
            score = ActionLaw(None, None, law.logits).log_prob(made)
        return Move(self.action(made, scene, number), score, law.entropy().mean())

    def calibrate(self, scene: Scene) -> None:
        """Centre and scale what has no bounds by what is seen in a scene."""
        seen = values_seen(self.program, scene.params, scene.time, scene.state)
        self.overview.calibrate(seen, scene.state, scene.batch)

    def entries(self, reals: Tensor) -> Tensor:
        """Numbers of the upper action as entries of rules in [-1, 1]."""
        match self.plan.entries:
            case "clip":
                return reals.clamp(-1, 1)
            case "released":
                return torch.tanh(reals.clamp(-1, 1))
        return torch.tanh(reals)

    def standard(self, scene: Scene, step: int, agents: int = 0) -> tuple[Tensor, Tensor]:
        """Standard numbers for the upper action: normal [B, k], uniform [B]; for `agents` each."""
        lead = (scene.batch, agents) if agents else (scene.batch,)
        count = self.upper.rules + self.head.count
        unit = scene.params.unit

        def numbers(law: str, shape: tuple[int, ...]) -> Tensor:
            key = (scene.seed, step, f"{PLANNER}.{law}")
            return draw((law,), shape, key, dtype=unit.dtype, device=unit.device)

        return numbers("normal", (*lead, count)), numbers("uniform", lead)

    def action(self, drawn: Drawn, scene: Scene, step: int) -> Any:
        """What everybody does given the upper action: agents draw from their rules.

        `drawn` is [B, ...], or [B, N, ...] when each agent follows an upper action of its own;
        majors then follow that of agent 0.
        """
        unit, kinds = scene.params.unit, scene.program.module.Action.__annotations__
        assert drawn.reals is not None
        groups: dict[str, Any] = {}
        start = 0
        one = drawn.reals.ndim > 2
        for rule in self.rules:
            entries = self.entries(drawn.reals[..., start : start + rule.size])
            start += rule.size
            if one:
                entries = entries[:, : scene.agents[rule.sight.player]]
            groups[rule.sight.field] = kinds[rule.sight.field](*_played(rule, entries, scene, step))
        rest = drawn.reals[..., start:]
        mine = Drawn(
            (rest[:, 0] if one else rest) if self.head.count else None,
            None if drawn.index is None else drawn.index[:, 0] if one else drawn.index,
        )
        values = self.head.values(mine, unit) if self.majors else []
        for sight in self.majors:
            groups[sight.field] = kinds[sight.field](*values[: len(sight.actions)])
            values = values[len(sight.actions) :]
        return scene.program.module.Action(**{f: groups[f] for f in kinds})


def _played(rule: Rule, entries: Tensor, scene: Scene, step: int) -> list[Tensor]:
    """The actions that agents draw from a rule."""
    unit, sight = scene.params.unit, rule.sight
    lead = (scene.batch, scene.agents[sight.player])

    def numbers(law: str, shape: tuple[int, ...]) -> Tensor:
        key = (scene.seed, step, f"rule.{sight.player}.{law}")
        return draw((law,), shape, key, dtype=unit.dtype, device=unit.device)

    normal = numbers("normal", (*lead, rule.count)) if rule.count else None
    uniform = numbers("uniform", lead) if rule.choices else None
    return rule.played(entries, scene.state, normal, uniform, unit)


@dataclass(frozen=True, eq=False)
class Planned:
    """A behaviour: everybody follows a planner, with its mean or its random upper action."""

    planner: Planner
    mode: bool = True
    execution: Execution = "centralised"

    @torch.no_grad()
    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene."""
        planner = self.planner
        law = planner.upper(planner.views(scene)[PLANNER], planner.mask(scene))
        agents = max(scene.agents.values()) if self.execution == "decentralised" else 0
        normal, uniform = planner.standard(scene, scene.t, agents)
        if agents:
            logits = None if law.logits is None else law.logits[:, None].expand(-1, agents, -1)
            law = ActionLaw(law.mean[:, None], law.log_std, logits)
        made = law.sample(normal, uniform)
        if self.mode:
            made = Drawn(law.mean.expand_as(made.reals), made.index)
        return planner.action(made, scene, scene.t)
