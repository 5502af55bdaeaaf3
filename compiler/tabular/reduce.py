"""Any game with finite tables as a game of one population with finite scalars."""

from dataclasses import replace
from math import prod

from mfdsl.compiler.ir.model import ONLY_AGENTS, Model
from mfdsl.compiler.ir.reduced import Coordinate, Reduced
from mfdsl.compiler.ir.walk import reachable
from mfdsl.compiler.tabular.choices import ranks, with_choices
from mfdsl.compiler.tabular.common import common_name, with_common
from mfdsl.compiler.tabular.finite import Finite
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.compiler.tabular.listed import with_listed_outcomes
from mfdsl.compiler.tabular.naming import check_names
from mfdsl.compiler.tabular.rebuild import player_roots
from mfdsl.compiler.tabular.seeing import check_seen, sees_pasts
from mfdsl.compiler.tabular.union import Axes, united

MOST_ENTRIES = 1 << 28
WORDS = {
    "w2": "optimal transport",
    "min_members": "an extreme over agents",
    "max_members": "an extreme over agents",
    "min_others": "an extreme over agents",
    "max_others": "an extreme over agents",
    "peer_noise": "the noise of other agents",
    "weight": "weights between single agents, which have no limit as their number grows",
}
ADVICE = {
    "peer_noise": "let a state keep what the noise makes (`arrival' = plan + e`) and read its law"
    " one step later, in a final reward for example",
}


def reduced(model: Model, bins: Bins) -> Reduced:
    """The game with tables.

    Raises:
        NoTables: it has none, and why.
    """
    _check(model)
    found = _with_all_actions(model, bins)
    found = replace(found, model=with_listed_outcomes(found.model))
    if ranks(model) is not None:
        found = _with_ranks(found)
    _check_size(found.model)
    return found


def _with_ranks(whole: Reduced) -> Reduced:
    """The same game with ranks in place of actions."""
    model, choices = with_choices(whole.model)
    note = f"actions by their rank among the legal ones, at most {choices.rows.shape[1]}"
    return replace(whole, model=model, choices=choices, notes=(*whole.notes, note))


def _with_all_actions(model: Model, bins: Bins) -> Reduced:
    finite = Finite(model, bins)
    small = finite.copied()
    check_names(small)
    check_seen(model, small, finite)
    alone, past, fixed, notes = with_common(small)
    check_names(alone)
    whole, who, states, actions = united(alone)
    acting = {p.name for p in alone.populations}
    coordinates = [c for axes in finite.coordinates.values() for c in axes]
    kinds = {
        (p.name, v.name): k
        for p in small.players
        for k, group in (("state", p.states), ("action", p.actions))
        for v in group
    }
    placed = {"state": states, "action": actions}
    found: dict[str, list[Coordinate]] = {"state": [], "action": []}
    for c in coordinates:
        kind = kinds[c.player, c.axis]
        common = small.player(c.player).kind != "population"
        if c.player in acting and (kind == "action" or not common):
            found[kind].append(_placed(c, placed[kind]))
        elif past is None:
            found["state"].append(replace(c, axis=common_name(c.player, c.axis)))
    return Reduced(
        model=whole,
        populations=tuple(p.name for p in alone.populations),
        who=who,
        states=tuple(found["state"]),
        actions=tuple(found["action"]),
        past=past,
        fixed=fixed,
        notes=(*finite.notes, *notes),
        exact=finite.exact and (past is None or past.told or sees_pasts(model)),
    )


def _check_size(model: Model) -> None:
    """Refuse tables beyond the limit before anybody makes them."""
    only = model.population
    states, actions, outcomes = (
        prod(model.types[v.type].size for v in group)
        for group in (only.states, only.actions, only.noises)
    )
    if states * actions * outcomes > MOST_ENTRIES:
        raise NoTables(
            f"its tables would have {states:,} states, {actions:,} actions, {outcomes:,} outcomes",
            "put continuous variables on fewer points: `--opt bins=11`",
        )


def _placed(coordinate: Coordinate, axes: Axes) -> Coordinate:
    axis = axes.get((coordinate.player, coordinate.axis))
    return coordinate if axis is None else replace(coordinate, axis=axis.name)


def _check(model: Model) -> None:
    if not model.populations:
        raise NoTables("it has no population")
    paid = [p.name for p in model.players if p.kind == "environment" and p.rewards]
    if model.objective == "team" and paid:
        raise NoTables(
            f"its team is paid by {paid[0]}, and tables have rewards of populations and majors",
            f"let a population have the rewards of {paid[0]}",
        )
    for player in model.players:
        for index in reachable(model.nodes, player_roots(player)):
            op = model.nodes[index].op
            if op in ONLY_AGENTS:
                raise NoTables(f"it reads {WORDS[op]}", ADVICE.get(op))
    if any(not p.actions for p in model.populations):
        raise NoTables("a population without actions has nothing to choose")
