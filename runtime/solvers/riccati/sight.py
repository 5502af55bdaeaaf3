"""What players see of their own state and of the common one, and policies that read no more.

An entry of s that is certain along the flow (the mean, where there is no common noise) need not be
seen: its value is known beforehand. Everything else that a policy reads has to be an affine
function of what `observe` lists; time is always known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.program import Params
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.flow import flow
from mfdsl.runtime.solvers.riccati.forms import Array, at
from mfdsl.runtime.solvers.riccati.game import Crowd, Game, Single
from mfdsl.runtime.solvers.riccati.plan import Policy, common_step, rows_at
from mfdsl.runtime.solvers.riccati.simulated import flat, nested, width

MEMBERS = 3
AGREE = 1e-9  # of the largest value
ROUNDING = 1e-12  # of the largest length, below which a direction is lost
MEAN = "the mean of "


@dataclass(frozen=True, eq=False)
class Sight:
    """Rows [seen, d + p] over (x, s), or [seen, p] over s: what a player sees, by player; `blind`
    are those who do not see the stage.
    """

    rows: Mapping[str, Array]
    blind: frozenset[str]


def sight_of(game: Game, program: AgentProgram, params: Params) -> Sight:
    """What everybody who acts sees, read off the simulator; what is not affine helps nobody."""
    found: dict[str, Array] = {}
    blind = set()
    probed = [_seen(game, program, params, t) for t in _stages(program)]
    actors: tuple[Crowd | Single, ...] = game.paid
    for actor in actors:
        if not actor.actions:
            continue
        assert program.model is not None
        player = program.model.player(actor.name)
        own = actor.size if isinstance(actor, Crowd) else 0
        rows = [np.eye(own + game.size)[-1]]
        rows += [_mean_rows(game, own, law) for law in player.observes_law]
        everything = not (player.observe or player.observes_law)
        nodes = program.model.nodes
        if not everything and all(nodes[o.node].op != "time" for o in player.observe):
            blind.add(actor.name)
        if everything:
            open_to_all = [k for k, name in enumerate(game.common) if _is_single(program, name)]
            rows.append(np.eye(own + game.size)[[*range(own), *(own + k for k in open_to_all)]])
        for entry in probed[0][actor.name] if player.observe else ():
            same = [stage[actor.name].get(entry) for stage in probed]
            first = same[0]
            if first is not None and all(
                other is not None and np.allclose(other, first, rtol=AGREE, atol=AGREE)
                for other in same
            ):
                rows.append(first)
        found[actor.name] = np.vstack(rows)
    return Sight(found, frozenset(blind))


def within_sight(game: Game, policy: Policy, sight: Sight) -> Policy:
    """The same policy along the flow, reading no more than everybody sees.

    Raises:
        SolverError: somebody would have to see more.
    """
    certain = certain_rows(game, policy)
    if any(s.actions for s in game.singles) and not game.team:
        certain = certain[:0]  # a major who leaves would move what is certain while it stays
    means = flow(game, policy).means[: policy.stages]
    own, common, controls = list(policy.own), list(policy.common), policy.controls.copy()
    for single in game.singles:
        if single.actions:
            seer = _Seer(game, single, sight, certain)
            controls[:, single.acts] = seer.rows(policy.controls[:, single.acts], means)
    for k, crowd in enumerate(game.crowds):
        if not crowd.actions:
            continue
        rows = np.concatenate([policy.own[k], policy.common[k]], axis=2)
        rows = _Seer(game, crowd, sight, certain).rows(rows, means)
        own[k], common[k] = rows[:, :, : crowd.size], rows[:, :, crowd.size :]
        controls[:, crowd.acts] = common[k]
        controls[:, crowd.acts, crowd.means] += own[k]
    return replace(policy, own=tuple(own), common=tuple(common), controls=controls)


def certain_rows(game: Game, policy: Policy) -> Array:
    """Rows [k, p] whose product with s is certain at all times: no draw of majors, environments or
    common noise ever reaches it.
    """
    assert game.stages is not None
    basis = _spanned(game.start.shared)
    reached = basis
    for t in range(game.stages):
        step = common_step(game, t, rows_at(policy, t).controls)
        moved = step @ basis
        size = np.linalg.norm(step)
        moved = moved[:, np.linalg.norm(moved, axis=0) > ROUNDING * size]
        basis = _spanned(np.concatenate([moved, at(game.shared, t)], axis=1))
        reached = _spanned(np.concatenate([reached, basis], axis=1))
    directions = np.linalg.svd(reached, full_matrices=True)[0]
    return np.ascontiguousarray(directions[:, reached.shape[1] :].T)


def _spanned(columns: Array) -> Array:
    """An orthonormal basis of what columns span, however short they are."""
    sizes = np.linalg.norm(columns, axis=0)
    unit = columns[:, sizes > 0] / sizes[sizes > 0]
    if not unit.shape[1]:
        return np.zeros((len(columns), 0))
    directions, strengths, _ = np.linalg.svd(unit, full_matrices=False)
    return np.asarray(directions[:, strengths > AGREE], dtype=np.float64)


class _Seer:
    """One player, who reads rows of what it sees, and constants in the place of what is certain."""

    def __init__(self, game: Game, actor: Crowd | Single, sight: Sight, certain: Array) -> None:
        own = actor.size if isinstance(actor, Crowd) else 0
        self.name = actor.name
        self.blind = actor.name in sight.blind
        self.own, self.seen = own, sight.rows[actor.name].T
        self.certain = np.concatenate([np.zeros((own, len(certain))), certain.T])
        crowds = {crowd.name for crowd in game.crowds}
        beside = [_called(name, crowds) for name in game.common]
        self.names = [*(f"`{n}`" for n in getattr(actor, "states", ())), *beside]

    def rows(self, rows: Array, means: Array) -> Array:
        """Rows [T, b, d + p] with constants for what is certain and not seen, along means [T, p].

        As little as possible is taken as certain: what is seen of finitely many agents moves.
        """
        found = self._without_unseen(rows, means)
        size = float(np.abs(found).max(initial=0.0))
        if self.blind and np.abs(found - found[:1]).max(initial=0.0) > AGREE * size:
            raise SolverError(
                f"{self.name} has to see `t`, as its affine policy differs between stages: list it"
                " in `observe`"
            )
        return found

    def _without_unseen(self, rows: Array, means: Array) -> Array:
        wanted = rows.reshape(-1, rows.shape[2]).T
        size = float(np.abs(wanted).max(initial=0.0))
        beyond = wanted - self.seen @ _solved(self.seen, wanted)
        if np.abs(beyond).max(initial=0.0) <= AGREE * size:
            return rows
        unseen = self.certain - self.seen @ _solved(self.seen, self.certain)
        weights = _solved(unseen, beyond)
        off = np.abs(beyond - unseen @ weights).max(1, initial=0.0)
        if not off.max(initial=0.0) <= AGREE * size:
            name = self.names[int(off.argmax())]
            of_all = name.rpartition(" over ")[2] if name.startswith(MEAN) else None
            raise SolverError(
                f"{self.name} has to see {name}, which its affine policy reads: list "
                + ("it in `observe`" if of_all is None else _listed(name, of_all))
            )
        taken = self.certain @ weights
        found = (wanted - taken).T.reshape(rows.shape)
        path = taken.T.reshape(rows.shape)[:, :, self.own :]
        found[:, :, -1] += np.einsum("tbp,tp->tb", path, means)
        return found


def _called(name: str, crowds: set[str]) -> str:
    """How an entry of s is called in words."""
    owner, _, entry = name.rpartition(".")
    return f"{MEAN}`{entry}` over {owner}" if owner in crowds else f"`{name}`"


def _listed(name: str, owner: str) -> str:
    """How `observe` lists a mean, or all that is known of a population."""
    entry = name.split("`")[1]
    return (
        f"a `let` that is `mean(q.{entry} for q in {owner})` in `observe`, or `law({owner})`"
        if entry.isidentifier()
        else f"`law({owner})` in `observe`"
    )


def _solved(matrix: Array, wanted: Array) -> Array:
    return np.asarray(np.linalg.lstsq(matrix, wanted, rcond=1e-12)[0], dtype=np.float64)


def _stages(program: AgentProgram) -> tuple[int, ...]:
    last = program.horizon
    return (0, 1, 7) if last is None else tuple(sorted({0, min(1, last - 1), last - 1}))


def _is_single(program: AgentProgram, name: str) -> bool:
    """Whether an entry of s is of a major or an environment."""
    owners = [program.names[f] for f, kind in program.players.items() if kind != "population"]
    return any(name.startswith(f"{owner}.") for owner in owners)


def _mean_rows(game: Game, own: int, law: str) -> Array:
    """The means of a population whose whole law is seen."""
    crowd = next(c for c in game.crowds if c.name == law)
    return np.eye(own + game.size)[own + crowd.means.start : own + crowd.means.stop]


def _seen(game: Game, program: AgentProgram, params: Params, t: int) -> dict[str, dict[str, Array]]:
    """The rows of each observed value that is affine, by player and name, without constants."""
    generator = torch.Generator().manual_seed(t)
    games = 2 * (game.size + max((c.size for c in game.crowds), default=0)) + 8
    state = {}
    for field in program.module.State.__annotations__:
        lead = (games, MEMBERS) if program.players[field] == "population" else (games,)
        size = (*lead, width(program, field, "State"))
        state[program.names[field]] = torch.randn(size, generator=generator, dtype=torch.float64)
    whole = nested(program, "State", state)
    shown = program.module.observe(params, torch.tensor(t), whole)
    named = {program.names.get(player, player): values for player, values in shown.items()}
    common = common_vector(game, flat(program, whole), games).numpy()
    found: dict[str, dict[str, Array]] = {}
    actors: tuple[Crowd | Single, ...] = game.paid
    for actor in actors:
        read, lead = common, (games,)
        if isinstance(actor, Crowd):
            beside = np.broadcast_to(common[:, None], (games, MEMBERS, game.size))
            read = np.concatenate([state[actor.name].numpy(), beside], axis=2)
            lead = (games, MEMBERS)
        found[actor.name] = _affine(named.get(actor.name, {}), read, lead)
    return found


def _affine(
    values: Mapping[str, torch.Tensor], read: Array, lead: tuple[int, ...]
) -> dict[str, Array]:
    flat_read, rows = read.reshape(-1, read.shape[-1]), {}
    for name, value in values.items():
        if not value.is_floating_point():
            continue
        rest = value.shape[len(lead) :] if value.ndim >= len(lead) else ()
        wide = value.expand(*lead, *rest).reshape(len(flat_read), -1).numpy()
        row = _solved(flat_read, wide)
        off = np.abs(flat_read @ row - wide).max(initial=0.0)
        if off <= AGREE * (1 + np.abs(wide).max(initial=0.0)):
            row = row.T.copy()
            row[:, -1] = 0.0
            rows[name] = row
    return rows


def common_vector(game: Game, state: Mapping[str, torch.Tensor], batch: int) -> torch.Tensor:
    """The common vector [B, p] from the vectors of all players."""
    crowds = {c.name for c in game.crowds}
    owners = list(dict.fromkeys(entry.rpartition(".")[0] for entry in game.common[:-1]))
    parts = [state[name].mean(1) if name in crowds else state[name] for name in owners]
    one = next(iter(state.values())).new_ones(batch, 1)
    return torch.cat([*(p.expand(batch, -1) for p in parts), one], -1)
