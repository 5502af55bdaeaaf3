"""Symmetry at one N: rings, order-dependent rules and heterogeneous players are refuted."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations, product
from pathlib import Path

import pytest

import mfdsl
from mfdsl.compiler.analysis.symmetry.agents import agents_game, fixed_number_certificate
from mfdsl.compiler.analysis.symmetry.expansion import structurally_symmetric
from mfdsl.compiler.analysis.symmetry.generators import (
    Joint,
    Law,
    Number,
    compare,
    comparison_certificate,
    cycles,
    evidence,
    generators,
    permuted,
)

THIRD = Fraction(1, 3)


@dataclass(frozen=True)
class Epidemic:
    """Players who are ill (1) or not, and infect whom `exposure(i, states)` says."""

    players: int
    exposure: Callable[[int, Sequence[int]], Number]
    weight: Callable[[int], Number] = lambda i: 1
    start: Callable[[int], Number] = lambda i: THIRD
    allowed: Callable[[int], tuple[int, ...]] = lambda i: (0, 1)
    states: Sequence[Hashable] = (0, 1)
    actions: Sequence[Hashable] = field(default=(0, 1))

    def initial(self, player: int) -> Law:
        return {1: self.start(player), 0: 1 - self.start(player)}

    def legal(self, player: int, state: Hashable) -> Sequence[Hashable]:
        return self.allowed(player)

    def reward(self, player: int, states: Joint, actions: Joint) -> Number:
        mine = actions[player]
        assert isinstance(mine, int)
        return -self.weight(player) * self.exposure(player, ints(states)) * (1 - mine)

    def kernel(self, player: int, states: Joint, actions: Joint) -> Law:
        ill = self.exposure(player, ints(states)) * THIRD
        return {1: ill, 0: 1 - ill} if actions[player] == 0 else {0: 1}


def ints(values: Joint) -> list[int]:
    return [v for v in values if isinstance(v, int)]


def mean(i: int, states: Sequence[int]) -> Number:
    return Fraction(sum(states), len(states))


def ring(i: int, states: Sequence[int]) -> Number:
    return Fraction(states[i - 1] + states[(i + 1) % len(states)], 2)


def running(i: int, states: Sequence[int]) -> Number:
    return Fraction(sum(states[: i + 1]), i + 1)


def rounded(i: int, states: Sequence[int]) -> Number:
    return sum(0.1 * s for s in states)


@pytest.mark.parametrize("players", [1, 2, 3, 4])
def test_means_are_proved_symmetric_for_this_number_only(players: int) -> None:
    found = comparison_certificate(compare(Epidemic(players, mean)))
    assert (found.verdict, found.rigor) == ("proved", "exact")
    assert found.claim == f"symmetric for N = {players}"
    assert f"all {4**players} profiles" in found.method


def test_a_ring_passes_for_three_players_and_is_not_called_symmetric() -> None:
    assert comparison_certificate(compare(Epidemic(3, ring))).verdict == "proved"
    assert comparison_certificate(compare(Epidemic(4, ring))).verdict == "refuted"
    found = evidence(lambda players: Epidemic(players, ring))
    assert (found.verdict, found.claim) == ("refuted", "symmetric for all N")
    assert found.detail == "not symmetric for N = 4"
    with pytest.raises(ValueError, match="a ring of 3 is symmetric"):
        evidence(lambda players: Epidemic(players, ring), (3, 4))


def test_a_mean_passes_for_some_numbers_as_evidence_only() -> None:
    found = evidence(lambda players: Epidemic(players, mean), (4, 5))
    assert (found.verdict, found.rigor) == ("tested", "samples")
    assert found.detail == "evidence only: symmetric for N = 4, 5"
    assert [c.verdict for c in found.obligations] == ["proved", "proved"]


@pytest.mark.parametrize("players", [6, 20])
@pytest.mark.parametrize("exposure", [ring, running])
def test_rules_that_depend_on_the_order_are_refuted(
    players: int, exposure: Callable[[int, Sequence[int]], Number]
) -> None:
    found = compare(Epidemic(players, exposure))
    assert found.difference is not None and found.difference.exact
    assert found.seconds < 5
    broken, game = found.difference, Epidemic(players, exposure)
    image = broken.image
    there = (permuted(image, broken.states), permuted(image, broken.actions))
    if broken.quantity == "reward":
        here = game.reward(broken.player, broken.states, broken.actions)
        assert here == broken.value != broken.moved
        assert game.reward(image[broken.player], *there) == broken.moved


def test_the_witness_names_player_permutation_and_profile() -> None:
    found = comparison_certificate(compare(Epidemic(3, running)))
    witness = found.witness
    assert witness is not None
    assert witness["permutation"] in ("(0 1)", "(1 2)")
    assert {f"{word}[{i}]" for word in ("state", "action") for i in range(3)} <= witness.keys()


@pytest.mark.parametrize(
    ("change", "quantity"),
    [
        ({"weight": lambda i: Fraction(10 + i, 10)}, "reward"),
        ({"start": lambda i: Fraction(1 + i, 9)}, "probability of initial state 1"),
        ({"allowed": lambda i: (0, 1) if i else (0,)}, "legal action 1 in state 0"),
    ],
)
def test_players_that_differ_are_found(
    change: Mapping[str, Callable[[int], object]], quantity: str
) -> None:
    found = compare(Epidemic(4, mean, **change)).difference  # type: ignore[arg-type]
    assert found is not None
    assert found.quantity == quantity


@pytest.mark.parametrize(
    ("game", "kind"),
    [
        (Epidemic(4, mean, weight=lambda i: 1 + (i == 3)), "heterogeneous"),
        (Epidemic(4, mean, start=lambda i: Fraction(1 + (i == 3), 9)), "heterogeneous"),
        (Epidemic(4, lambda i, s: s[0] if i else s[1]), "not anonymous"),  # the first other player
    ],
)
def test_a_difference_is_blamed_on_players_or_on_places(game: Epidemic, kind: str) -> None:
    found = compare(game).difference
    assert found is not None
    assert found.kind == kind
    assert [abs(i - j) for i, j in enumerate(found.image)].count(1) == 2
    if kind == "heterogeneous":
        assert found.player in (2, 3)


def test_rounded_numbers_are_tested_not_proved() -> None:
    found = comparison_certificate(compare(Epidemic(3, rounded)))
    assert (found.verdict, found.rigor) == ("tested", "float64")
    few = comparison_certificate(compare(Epidemic(8, mean), most=10, samples=25))
    assert (few.verdict, few.rigor) == ("tested", "samples")
    assert "25 random profiles" in few.method


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_generators_generate_all_permutations(count: int) -> None:
    found = {tuple(range(count))}
    while True:
        more = {tuple(g[i] for i in p) for p in found for g in generators(count)} | found
        if more == found:
            break
        found = more
    assert found == set(permutations(range(count)))
    assert generators(1) == []


def test_permutations_are_written_as_cycles_and_act_on_profiles() -> None:
    assert cycles((1, 0, 2)) == "(0 1)"
    assert cycles((1, 2, 0, 4, 3)) == "(0 1 2)(3 4)"
    assert cycles((0, 1)) == "()"
    assert permuted((1, 2, 0), ("a", "b", "c")) == ("c", "a", "b")


def test_two_generators_agree_with_all_permutations() -> None:
    for exposure in (mean, ring, running, rounded):
        game = Epidemic(3, exposure)
        profiles = list(product(product((0, 1), repeat=3), repeat=2))
        same = all(
            abs(game.reward(i, s, a) - game.reward(p[i], permuted(p, s), permuted(p, a))) < 1e-9
            for p in permutations(range(3))
            for s, a in profiles
            for i in range(3)
        )
        assert same is (compare(game).difference is None)


def test_a_game_without_players_is_refused() -> None:
    with pytest.raises(ValueError, match="has players"):
        compare(Epidemic(0, mean))


@pytest.mark.parametrize(
    "name", ["sis", "flocking", "foraging", "lq_major", "m3fc_2g", "predator_prey", "a_rps"]
)
def test_games_of_the_catalogue_are_equal_as_written(name: str) -> None:
    model = mfdsl.load(name).model
    for population in model.populations:
        found = fixed_number_certificate(model, population.name, 4)
        assert (found.verdict, found.rigor) == ("proved", "exact")
        assert found.claim == "symmetric for N = 4"


def test_weights_of_the_catalogue_are_refuted_with_a_profile() -> None:
    model = mfdsl.load("weighted_rps").model
    assert not structurally_symmetric(model, "player", 12)
    found = fixed_number_certificate(model, "player", 12)
    assert (found.verdict, found.rigor) == ("refuted", "float64")
    assert found.witness is not None
    assert "state[11]" in found.witness
    with pytest.raises(ValueError, match="12 agents of its files, not 5"):
        fixed_number_certificate(model, "player", 5)


CLINIC = """model clinic

enum Health {{ S, I }}

objective nash
horizon 3

population person {{
  trait b : real in [0, 1] from "players.csv"
  weights w from "w.csv"
  state  h : Health ~ uniform
  action a : Health
  let exposure = mean(w[q] * ind(q.h == I) for q in person)
  h' ~ if a == S then S else mix {{ 0.5 * b * exposure -> I, else -> S }}
  reward ill = {reward}
  final reward end = -b * t * ind(h == I)
}}
"""
COMPLETE = "0,1,1,1\n1,0,1,1\n1,1,0,1\n1,1,1,0\n"
RING = "0,1,0,1\n1,0,1,0\n0,1,0,1\n1,0,1,0\n"
TRIANGLE = "0,1,1\n1,0,1\n1,1,0\n"


@pytest.mark.parametrize(
    ("rows", "table", "verdict"),
    [
        ([0.5] * 4, COMPLETE, "proved"),
        ([0.5] * 4, RING, "refuted"),
        ([0.5] * 3, TRIANGLE, "proved"),
        ([0.5, 0.5, 0.25, 0.5], COMPLETE, "refuted"),
    ],
)
def test_players_of_files_are_as_symmetric_as_their_data(
    tmp_path: Path, rows: list[float], table: str, verdict: str
) -> None:
    (tmp_path / "players.csv").write_text("b\n" + "".join(f"{b}\n" for b in rows))
    (tmp_path / "w.csv").write_text(table)
    (tmp_path / "clinic.mfg").write_text(CLINIC.format(reward="-ind(h == I) * exposure"))
    model = mfdsl.load(tmp_path / "clinic.mfg").model
    found = fixed_number_certificate(model, "person", len(rows))
    assert found.verdict == verdict
    by_evaluation = compare(agents_game(model, "person", len(rows)), most=300)
    assert (by_evaluation.difference is None) == (verdict == "proved")


def test_equal_values_that_are_written_differently_are_tested(tmp_path: Path) -> None:
    (tmp_path / "players.csv").write_text("b\n0.5\n0.5\n0.5\n")
    (tmp_path / "w.csv").write_text("0,1,2\n2,0,1\n1,2,0\n")
    reward = "0 * exposure"
    text = CLINIC.format(reward=reward).replace("0.5 * b * exposure", "0.5 * b * exposure * 0")
    (tmp_path / "clinic.mfg").write_text(text)
    found = fixed_number_certificate(mfdsl.load(tmp_path / "clinic.mfg").model, "person", 3)
    assert (found.verdict, found.rigor) == ("tested", "float64")


def test_games_that_are_no_finite_players_are_refused_or_unknown() -> None:
    with pytest.raises(ValueError, match="not a game of the agents"):
        agents_game(mfdsl.load("lq_major").model, "follower", 4)
    with pytest.raises(ValueError, match="not a finite scalar"):
        agents_game(mfdsl.load("flocking").model, "bird", 4)
    with pytest.raises(ValueError, match="drawn"):
        agents_game(mfdsl.load("a_rps").model, "player", 4)
    with pytest.raises(ValueError, match="no population"):
        fixed_number_certificate(mfdsl.load("sis").model, "nobody", 4)
