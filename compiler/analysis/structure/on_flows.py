"""Monotone rewards on the flows of a game whose dynamics read no law.

`monotone_on_flows`: for all flows d, e the sum over stages t of discount^t times the sum over x of
(r(x, d_t) - r(x, e_t)) (d_t - e_t)(x) is at most 0. An equilibrium is a solution of the variational
inequality of the rewards on the polytope of flows (Geist et al., Concave utility reinforcement
learning: the mean-field game viewpoint, AAMAS 2022, arXiv:2106.03787), so this is what proofs of
solvers use of monotone rewards. It is weaker than monotone rewards at all laws: what no policy can
move does not count, neither do members where nobody can be. Policies that do not see all have fewer
flows, so that a proof holds for them and a refutation may not.

Stage by stage first, where v' J v <= 0 for all v that two flows can differ by at a stage is enough;
then all stages together, where gains of one stage may pay for losses of another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mfdsl.compiler.analysis.certificate import Certificate, Rigor
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.structure.branching import branched
from mfdsl.compiler.analysis.structure.chains import Chain, OutOfTimeError, chain_of
from mfdsl.compiler.analysis.structure.flows import Stage as FlowStage, stages_of
from mfdsl.compiler.analysis.structure.forms import Failed, Forms, rewards_by_population
from mfdsl.compiler.analysis.structure.jacobian import constant_slopes, sign_along
from mfdsl.compiler.analysis.structure.masses import InMasses, in_masses
from mfdsl.compiler.analysis.structure.monotone import place_of
from mfdsl.compiler.analysis.structure.refute import Rewards, rewards_of
from mfdsl.compiler.analysis.structure.rising_flows import (
    Asked,
    Rising,
    over_kinds,
    rising_flows,
    together,
)
from mfdsl.compiler.analysis.structure.spans import Span, span_of
from mfdsl.compiler.analysis.structure.stages import Part, is_noisy, laws_read, total_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError
from mfdsl.compiler.ir.fold import decimal
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.sight import hidden
from mfdsl.compiler.ir.walk import reachable

CLAIM = "monotone_on_flows"
MAX_STAGES = 400
SIGNS = ("zero", "negative", "definite")


@dataclass(frozen=True)
class _Found:
    """What is known of the claim, and how."""

    sign: bool | Rising | None
    method: tuple[str, ...] = ()
    rigor: Rigor = "exact"
    detail: str | None = None
    boxes: int = 0


def monotone_on_flows(
    model: Model,
    copies: Copies,
    stages: Sequence[Forms],
    weak: Certificate,
    dynamics: Certificate,
    seconds: float,
) -> Certificate:
    """The certificate `monotone_on_flows` of the rewards of a model.

    `stages` are the forms of its rewards, `weak` and `dynamics` the certificates `monotone` and
    `dynamics_independent_of_mu`. It is unknown where flows are no fixed polytope: where dynamics
    read a law, with majors and common states, and for laws that a policy has to keep.
    """
    started = processor_time()
    why = _outside(model, dynamics)
    fields: dict[str, Any]
    if why is not None:
        fields = {"reason": "unsupported", "detail": why, "culprit": dynamics.culprit}
    elif weak.verdict == "proved":
        fields = {
            "verdict": "proved",
            "method": ("monotone at all laws", *weak.method),
            "rigor": weak.rigor,
            "obligations": (dynamics, weak),
        }
    else:
        fields = _decided(model, copies, stages, dynamics, counted() + seconds)
    spent = round(processor_time() - started, 6)
    base: dict[str, Any] = {"claim": CLAIM, "subject": "reward", "source": "mu", "seconds": spent}
    return Certificate.model_validate({"verdict": "unknown"} | base | fields)


def _outside(model: Model, dynamics: Certificate) -> str | None:
    """Why flows are no fixed polytope."""
    if dynamics.verdict != "proved":
        return "next states depend on the law, or are not known not to"
    if model.horizon.kind == "stationary":
        return "a stationary policy is paid at the law that it keeps, not along a flow"
    given = next((p for p in model.populations if p.fixed), None)
    if given is not None:
        return f"files give each agent of `{given.name}`"
    other = next((p for p in model.players if p.kind != "population"), None)
    if other is not None:
        return f"flows depend on what `{other.name}` does"
    return None


def _decided(
    model: Model,
    copies: Copies,
    stages: Sequence[Forms],
    dynamics: Certificate,
    deadline: float,
) -> dict[str, Any]:
    """The fields of the certificate where rewards are not known to be monotone at all laws."""
    open_ = next(f for s in stages for f in s.forms if f.sign not in SIGNS)
    term = open_.parts[0].term
    try:
        found = _found(model, copies, stages, deadline)
    except OutOfTimeError as error:
        return {"reason": "budget", "detail": str(error)}
    except Failed as error:
        return {"reason": "unsupported", "detail": f"{term}: {error}"}
    fields: dict[str, Any] = {"method": found.method, "rigor": found.rigor, "boxes": found.boxes}
    if found.sign is True:
        return fields | {"verdict": "proved", "obligations": (dynamics,), "detail": found.detail}
    unseen = _unseen(model)
    if isinstance(found.sign, Rising) and unseen is not None:
        detail = f"{term}: two flows refute it, of policies that see more: {unseen}"
        return {"reason": "unsupported", "detail": detail}
    if isinstance(found.sign, Rising):
        low = float(found.sign.product[0])
        return fields | {
            "verdict": "refuted",
            "witness": found.sign.witness,
            "rigor": "enclosure",
            "detail": f"two flows whose inner product of differences is {low:.4g}",
            "culprit": place_of(model, open_),
            "fix": "let the reward fall, not rise, with the mass at one's own place",
        }
    reason = "budget" if late(deadline) else "tight"
    why = found.detail or "no rule covers it, and no two flows refute it"
    return fields | {"reason": reason, "detail": f"{term}: {why}"}


def _unseen(model: Model) -> str | None:
    """What the policies of a game do not see, so that not all flows are theirs."""
    for player in model.populations:
        name = hidden(model, player)
        if name is not None:
            return f"those of `{player.name}` do not see `{name}`"
    return None


@dataclass(frozen=True)
class _Paid:
    """What is paid at one kind of stage: parts that read a law, and those whose sign is open."""

    name: str
    parts: tuple[Part, ...]
    open: tuple[Part, ...]
    timed: bool


@dataclass(frozen=True)
class _Game:
    """A game on flows; `memo` holds its slopes by stage and parts."""

    copies: Copies
    players: tuple[Player, ...]
    chains: Mapping[str, Chain]
    paid: Mapping[str, _Paid]
    memo: dict[object, InMasses] = field(default_factory=dict)

    def rewards(self, parts: Sequence[Part], t: int) -> dict[str, int]:
        """The rewards of a stage by population, 0 of those that are only read."""
        found = rewards_by_population(self.copies, parts)
        for player in self.players:
            found.setdefault(player.name, total_of(self.copies, []))
        return {name: at_time(self.copies, node, t) for name, node in found.items()}

    def slopes(self, paid: _Paid, parts: tuple[Part, ...], t: int) -> InMasses:
        """The rewards of a stage in masses."""
        key = (parts, t if paid.timed else None)
        if key not in self.memo:
            self.memo[key] = in_masses(self.copies, self.rewards(parts, t), self.players)
        return self.memo[key]


def at_time(copies: Copies, node: int, t: int) -> int:
    """An expression at a stage."""
    below = reachable(copies.nodes, [node])
    return copies.replaced(
        node, {i: copies.const(t, i) for i in below if copies.nodes[i].op == "time"}
    )


def _game(model: Model, copies: Copies, stages: Sequence[Forms]) -> _Game:
    paid = {}
    for stage in stages:
        parts = tuple(p for f in stage.forms for p in f.parts)
        open_ = tuple(p for f in stage.forms if f.sign not in SIGNS for p in f.parts)
        if any(is_noisy(copies.facts, p.node) for p in parts):
            raise UnsupportedError("a reward reads a noise and the law")
        below = reachable(copies.nodes, [p.node for p in parts])
        timed = any(copies.nodes[i].op == "time" for i in below)
        if parts:
            paid[stage.stage.name] = _Paid(stage.stage.name, parts, open_, timed)
    read = {n for p in paid.values() for q in p.parts for n in laws_read(copies, q.node)}
    read |= {q.player.name for p in paid.values() for q in p.parts}
    players = tuple(p for p in model.populations if p.name in read)
    return _Game(copies, players, {p.name: chain_of(copies, p) for p in players}, paid)


def _found(model: Model, copies: Copies, stages: Sequence[Forms], deadline: float) -> _Found:
    """Stage by stage; then, over finitely many stages, all together, and pairs of flows."""
    game = _game(model, copies, stages)
    count = model.horizon.steps if model.horizon.kind == "finite" else None
    if count is not None and count > MAX_STAGES:
        raise UnsupportedError(f"more than {MAX_STAGES} stages")
    walked: list[tuple[FlowStage, ...]] = []
    known: dict[object, _Found] = {}
    for t, here in enumerate(_walk(game, count, deadline)):
        walked.append(here)
        if all(f.sign for f in known.values()):
            _at_stage(game, t, here, known, deadline)
    if all(f.sign for f in known.values()):
        rigors = [f.rigor for f in known.values()]
        return _Found(
            True,
            tuple(dict.fromkeys(m for f in known.values() for m in f.method)),
            "exact" if all(r == "exact" for r in rigors) else "enclosure",
            boxes=sum(f.boxes for f in known.values()),
        )
    if count is None:
        return _Found(None, detail="a stage where masses of flows may move the reward upwards")
    return _over_all_stages(model, game, walked, deadline)


def _walk(game: _Game, count: int | None, deadline: float) -> Iterator[tuple[FlowStage, ...]]:
    """The stages of all populations; without a last one until they come again.

    Raises:
        UnsupportedError: an endless game reads time.
    """
    timed = any(p.timed for p in game.paid.values()) or any(c.timed for c in game.chains.values())
    if count is None and timed:
        raise UnsupportedError("time, over a horizon without end")
    seen = set()
    columns = (stages_of(chain, count, deadline) for chain in game.chains.values())
    for here in zip(*columns, strict=True):
        if late(deadline):
            raise OutOfTimeError("no steps to follow all flows")
        key = tuple((stage.reached, stage.shifts) for stage in here)
        if count is None and key in seen:
            return
        seen.add(key)
        yield here


def _at_stage(
    game: _Game,
    t: int,
    here: tuple[FlowStage, ...],
    known: dict[object, _Found],
    deadline: float,
) -> None:
    """Decide a stage, unless one like it is known: first its open parts alone, then all."""
    name = "running" if here[0].step is not None else "final"
    if name not in game.paid or not game.paid[name].open:
        return
    paid = game.paid[name]
    for parts in dict.fromkeys((paid.open, paid.parts)):
        slopes = game.slopes(paid, parts, t)
        moves, empty = _moves(game, slopes, here)
        key = (name, parts, t if paid.timed else None, moves, empty)
        if key not in known:
            known[key] = _sign(slopes, moves, empty, deadline)
        if known[key].sign:
            failed = [k for k, f in known.items() if not f.sign]
            for other in failed:
                del known[other]
            return


def _moves(
    game: _Game, slopes: InMasses, here: tuple[FlowStage, ...]
) -> tuple[Span, tuple[int, ...]]:
    """What two flows can differ by in masses of kinds, and the kinds that nobody can be of.

    Raises:
        UnsupportedError: a final reward reads an action.
    """
    if here[0].step is None and any(
        op == "action" for k in slopes.kinds for (op, _), _ in k.values
    ):
        raise UnsupportedError("a final reward that reads actions")
    vectors, present = [], set()
    for name, stage in zip(game.chains, here, strict=True):
        for cells in stage.differences():
            vectors.append(over_kinds(game.chains, slopes.kinds, {name: cells}))
        for s in stage.reached:
            for a in stage.step.legal[s] if stage.step is not None else (0,):
                present |= set(over_kinds(game.chains, slopes.kinds, {name: {(s, a): Fraction(1)}}))
    empty = tuple(k for k in range(len(slopes.kinds)) if k not in present)
    return span_of(vectors), empty


def _sign(slopes: InMasses, moves: Span, empty: tuple[int, ...], deadline: float) -> _Found:
    """Whether v' J v is at most 0 for the span of some moves of mass, at all laws."""
    if not moves:
        return _Found(True, ("flows cannot differ where rewards read them",))
    basis = [[Fraction(0)] * len(slopes.kinds) for _ in moves]
    for row, move in zip(basis, moves, strict=True):
        for k, v in move:
            row[k] = v
    matrix = constant_slopes(slopes)
    if matrix is not None:
        sign = sign_along(matrix, basis)
        good = True if sign is not None and sign.sign in SIGNS else None
        return _Found(
            good,
            (f"constant slopes on {len(moves)} differences of flows at a stage",),
            "exact" if matrix.exact else "enclosure",
        )
    try:
        found = branched(slopes, max(deadline - counted(), 0.0) / 4, basis, empty)
    except UnsupportedError as error:
        return _Found(None, detail=str(error))
    method = "slopes over boxes of laws on differences of flows at a stage"
    return _Found(True if found.proved else None, (method,), "enclosure", boxes=found.boxes)


def _over_all_stages(
    model: Model, game: _Game, walked: Sequence[tuple[FlowStage, ...]], deadline: float
) -> _Found:
    if not all(stage.exact for here in walked for stage in here):
        return _Found(
            None, detail="chances that are no fractions: differences of flows are not exact"
        )
    names = ["running" if here[0].step is not None else "final" for here in walked]
    paid = [game.paid.get(name) for name in names]

    def slopes(t: int) -> InMasses | None:
        here = paid[t]
        return None if here is None else game.slopes(here, here.parts, t)

    def rewards(t: int) -> Rewards | None:
        here = paid[t]
        if here is None:
            return None
        key = ("at laws", here.name, t if here.timed else None)
        if key not in pointwise:
            found = game.rewards(here.parts, t)
            pointwise[key] = rewards_of(game.copies, found, game.players)
        return pointwise[key]

    pointwise: dict[object, Rewards] = {}
    columns = {name: [here[k] for here in walked] for k, name in enumerate(game.chains)}
    discount = decimal(model.discount) or Fraction(model.discount)
    asked = Asked(game.chains, columns, discount, slopes, rewards, deadline)
    method = ("slopes on differences of flows, all stages together",)
    whole = together(asked)
    if whole is not None:
        return _Found(whole, method)
    pair = rising_flows(asked)
    return _Found(pair, ("an inner product in decimal intervals",) if pair is not None else method)
