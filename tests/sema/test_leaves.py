"""Every leaf of a lowered model belongs to somebody who may be read where it stands."""

import pytest

from mfdsl.compiler.ir.model import Model, Player
from tests.sema.resolved import resolved
from tests.sema.test_language_specs import spec
from tests.sema.test_player_arrays import cover
from tests.sema.test_players import haul

OWN = ("state", "trait", "action", "noise", "draw")
BINDERS = ("mean", "mean_if", "mean_others", "mean_others_if", "min_members", "max_members", "w2")

RICH = haul(
    truck="let far = market.price + ind(y == 0)",
    flow="let gap = mean(q.moved + truck[1].far for q in flow[vans]) - x",
    reward="gap + max(truck[m].far for m in 0..1) + prob(q.gap > 0 for q in flow[f])",
)
MODELS = {
    "haul": lambda: resolved(RICH),
    "cover": lambda: resolved(cover("mean(norm(q.drift - pos) for q in drone) - skill")),
    **{name: lambda name=name: spec(name) for name in ("foraging", "lq_common_noise", "routing")},
}


def variables(player: Player, kind: str) -> set[str]:
    groups = {
        "state": player.states,
        "trait": player.traits,
        "action": player.actions,
        "noise": player.noises,
        "draw": player.draws,
    }
    return {v.name for v in groups[kind]}


def roots(player: Player) -> list[tuple[str, int]]:
    found = [("start", s.initial if s.start is None else s.start) for s in player.states]
    found += [("start", s.initial if s.start is None else s.start) for s in player.traits]
    found += [("next", s.next) for s in player.states]
    found += [("noise", n.density) for n in player.noises]
    found += [("final" if r.final else "next", r.node) for r in player.rewards]
    found += [("next", let.node) for let in player.lets]
    found += [("observe", o.node) for o in player.observe]
    found += [("legal", player.legal)]
    return [(stage, node) for stage, node in found if node is not None]


def check(model: Model, player: Player, stage: str, index: int, bound: dict[int, str]) -> None:
    node = model.nodes[index]
    if node.op in OWN:
        assert player.kind == "population"
        assert node.attr in variables(player, node.op)
        kind = node.op
    elif node.op.startswith("common_"):
        assert isinstance(node.attr, tuple)
        owner, kind = model.player(str(node.attr[0])), node.op.removeprefix("common_")
        assert owner.kind != "population" and node.attr[1] in variables(owner, kind)
        assert stage != "legal" or owner is player
        assert stage != "start" or owner is player or owner.order < player.order
    elif node.op.startswith("peer_"):
        assert isinstance(node.attr, tuple)
        owner, kind = model.player(bound[int(node.attr[0])]), node.op.removeprefix("peer_")
        assert owner.kind == "population" and node.attr[1] in variables(owner, kind)
    else:
        kind = ""
    assert kind != "draw" or stage == "start"
    assert kind != "noise" or stage in ("next", "noise")
    assert kind != "action" or stage in ("next", "noise", "legal")
    if node.op in BINDERS:
        assert isinstance(node.attr, tuple) and stage not in ("start", "legal")
        assert "others" not in node.op or node.attr[1] == player.name
        bound = {**bound, int(node.attr[0]): str(node.attr[1])}
    for argument in node.args:
        check(model, player, stage, argument, bound)


@pytest.mark.parametrize("name", MODELS)
def test_leaves_belong_to_their_players_and_stages(name: str) -> None:
    model = MODELS[name]()
    for player in model.players:
        for stage, node in roots(player):
            check(model, player, stage, node, {})


@pytest.mark.parametrize("name", MODELS)
def test_each_start_is_a_law_or_a_value(name: str) -> None:
    for player in MODELS[name]().players:
        for state in (*player.states, *player.traits):
            assert (state.initial is None) != (state.start is None)
        for noise in (*player.noises, *player.draws):
            assert (noise.density is None) != (noise.law is None)
