"""alpha and beta of specs against figures by hand, and against the enumeration of small games."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mfdsl.compiler.analysis.asymmetry.asymmetry import asymmetry, measured
from mfdsl.compiler.analysis.opened import bound, box_of, corners
from mfdsl.game import load
from mfdsl.runtime.finite_population.enumerate import Measured, measure, of_arrays
from mfdsl.runtime.finite_population.grid import all_profiles

HEAD = """
model small
enum Health { S, I }
enum Choice { out, home }
objective nash
horizon 3
population person as mu {
"""
TAIL = """
  observe h, t
}
"""


def spec(body: str) -> str:
    return HEAD + body + TAIL


def sis(traits: str, rate: str = "b", reward: str = "0") -> str:
    return spec(
        f"""
  {traits}
  state  h : Health ~ mix {{ 0.5 -> I, else -> S }}
  action a : Choice
  let ill = mean(ind(q.h == I) for q in others(person))
  h' ~ match h {{
    S -> if a == home then S else mix {{ {rate} * ill -> I, else -> S }},
    I -> mix {{ 0.3 -> S, else -> I }}
  }}
  reward all = {reward}
"""
    )


def near(value: float | None, expected: float, margin: float = 1e-12) -> bool:
    return value is not None and abs(value - expected) <= margin


def test_the_figures_of_asymmetric_sis() -> None:
    """|beta - 0.81| <= 0.081 moved between two states at full exposure; fear within 0.1 of 1."""
    model = load("specs/asymmetric_sis.mfg").model
    dynamics = asymmetry(model, "person", "dynamics", most=2 * 0.81 * 0.1)
    assert dynamics.verdict == "proved"
    assert near(dynamics.lower, 0.162)
    assert near(dynamics.upper, 0.162)
    assert dynamics.witness is not None
    assert dynamics.witness["h"] == "S"
    assert dynamics.source == "beta, nu"
    reward = measured(model, "person", "reward")
    assert near(reward.lower, 0.1)
    assert near(reward.upper, 0.1)
    assert reward.centred is not None  # the difference is 0 where nobody is ill
    assert near(reward.centred[1], 0.05)
    assert near(reward.mean[0], 0.05)
    assert near(reward.mean[1], 0.05)
    assert asymmetry(model, "person", "reward", most=0.099).verdict == "refuted"


def test_the_mean_over_players_is_enclosed() -> None:
    """alpha of a player is 2 max(|beta - 0.81|, |nu - 0.3|), independent and uniform."""
    model = load("specs/asymmetric_sis.mfg").model
    low, high = measured(model, "person", "dynamics").mean
    rng = np.random.default_rng(0)
    beta, nu = rng.uniform(-0.081, 0.081, 10**6), rng.uniform(-0.03, 0.03, 10**6)
    mean = float(2 * np.maximum(abs(beta), abs(nu)).mean())
    assert low - 3e-4 <= mean <= high + 3e-4
    assert high - low < 0.01


def test_the_tastes_of_a_rps() -> None:
    """0.075 |z_k - mean z| is largest at z = (1, -1, -1): 0.075 * 4 / 3."""
    model = load("specs/a_rps.mfg").model
    assert asymmetry(model, "player", "dynamics").upper == 0
    beta = measured(model, "player", "reward")
    assert near(beta.lower, 0.1)
    assert near(beta.upper, 0.1)
    assert beta.centred is not None
    assert near(beta.centred[0], 0.075)  # from 1 to -1 among the moves of one player


def test_every_player_of_a_file() -> None:
    model = load("specs/a_sis_players.mfg").model
    rows = np.genfromtxt("specs/data/asymmetric_players.csv", delimiter=",", names=True)
    apart = [2 * abs(rows[k] - rows[k].mean()) for k in ("beta", "gamma")]
    alpha = measured(model, "person", "dynamics")
    assert alpha.players is not None
    np.testing.assert_allclose(alpha.players[:, 1], np.maximum(*apart), atol=1e-11)
    np.testing.assert_allclose(alpha.players[:, 0], np.maximum(*apart), atol=1e-11)
    assert near(alpha.upper, float(np.maximum(*apart).max()), 1e-11)
    assert near(alpha.mean[1], float(np.maximum(*apart).mean()), 1e-11)
    beta = measured(model, "person", "reward")
    assert beta.centred_players is not None
    fear = abs(rows["fear"] - rows["fear"].mean())
    np.testing.assert_allclose(beta.centred_players[:, 1], fear / 2, atol=1e-11)


def enumerated_sis(rates: np.ndarray) -> Measured:
    """Kernels of `sis` with these rates, at every profile of the others on (h, a)."""
    players, others = len(rates), len(rates) - 1
    ill = (all_profiles(others, 4) // 2 == 1).mean(-1)
    table = np.zeros((players, 2, 2, len(ill), 2))
    table[:, 0, 0, :, 1] = rates[:, None] * ill
    table[:, 0, 1, :, 1] = 0
    table[:, 1, :, :, 1] = 0.7
    table[..., 0] = 1 - table[..., 1]
    return measure(of_arrays(table), players, 4, rewards=False)


def test_rows_of_a_file_against_enumeration(tmp_path: Path) -> None:
    rates = np.array([0.2, 0.5, 0.55, 0.9])
    (tmp_path / "rows.csv").write_text("b\n" + "\n".join(map(str, rates)) + "\n")
    path = tmp_path / "small.mfg"
    path.write_text(sis('trait b : real in [0, 1] from "rows.csv"'))
    found = measured(load(path).model, "person", "dynamics")
    exact = enumerated_sis(rates)
    assert found.players is not None
    np.testing.assert_allclose(found.players[:, 1], exact.total, atol=1e-12)
    np.testing.assert_allclose(found.players[:, 0], exact.total, atol=1e-12)
    assert found.anonymity == 0
    assert near(float(exact.anonymity.max()), 0)


def test_rows_that_do_not_enter_linearly(tmp_path: Path) -> None:
    rates = np.array([0.2, 0.5, 0.5, 0.9])
    (tmp_path / "rows.csv").write_text("b\n" + "\n".join(map(str, rates)) + "\n")
    path = tmp_path / "small.mfg"
    path.write_text(sis('trait b : real in [0, 1] from "rows.csv"', "b^2"))
    found = measured(load(path).model, "person", "dynamics")
    exact = enumerated_sis(rates**2)
    assert near(found.lower, exact.total.max())
    assert near(found.upper, exact.total.max())
    assert found.players is not None
    np.testing.assert_allclose(found.players[:, 1], exact.total, atol=1e-12)


@pytest.mark.parametrize(("rate", "power"), [("b", 1), ("b * b", 2), ("b * b * b", 3)])
def test_polynomials_of_a_uniform_trait_have_exact_means(rate: str, power: int) -> None:
    """E b^k = 1 / (k + 1); the farthest player has b = 1 or b = 0."""
    text = sis("trait b : real in [0, 1] ~ uniform", rate)
    found = measured(load(text=text).model, "person", "dynamics", 2.0)
    mean = 1 / (power + 1)
    assert found.lower <= 2 * max(mean, 1 - mean) + 1e-9
    assert near(found.upper, 2 * max(mean, 1 - mean), 1e-5)
    assert found.upper >= 2 * max(mean, 1 - mean) - 1e-9


def test_without_an_exact_mean_pairs_of_players_bound_it() -> None:
    text = sis("trait b : real in [0, 1] ~ uniform", "exp(-b)")
    found = measured(load(text=text).model, "person", "dynamics", 2.0)
    mean = 1 - np.exp(-1)
    exact = 2 * max(1 - mean, mean - np.exp(-1))
    assert found.lower <= exact <= found.upper
    assert near(found.upper, 2 * (1 - np.exp(-1)), 1e-4)
    assert found.lower > 0.6


def test_finite_traits_and_their_masses() -> None:
    text = sis(
        "trait b : int in 0..2 ~ mix { 0.5 -> 0, else -> 1 }",
        "0.4 * b",
        "0.7 * b * ind(h == I)",
    )
    model = load(text=text).model
    dynamics, reward = (measured(model, "person", w) for w in ("dynamics", "reward"))
    assert near(dynamics.upper, 2 * 0.4 * 0.5)  # nobody has b = 2
    assert near(dynamics.mean[0], 2 * 0.4 * 0.5)
    assert near(reward.lower, 0.35)
    assert reward.centred is not None
    assert near(reward.centred[1], 0.175)


def test_players_that_are_alike() -> None:
    shown = sis("trait b : real in [0, 1] ~ uniform").replace("observe h, t", "observe h, b, t")
    for text in (sis("", "0.5"), shown):
        found = asymmetry(load(text=text).model, "person", "dynamics", most=0.0)
        assert (found.verdict, found.lower, found.upper) == ("proved", 0, 0)


def test_traits_of_the_others_are_not_anonymous() -> None:
    text = sis("trait b : real in [0, 1] ~ uniform", "0.5").replace(
        "ind(q.h == I)", "q.b * ind(q.h == I)"
    )
    found = asymmetry(load(text=text).model, "person", "dynamics", most=0.5)
    assert (found.verdict, found.reason, found.upper) == ("unknown", "unsupported", 2)


def weighted_game(folder: Path, table: np.ndarray) -> Path:
    rows = "\n".join(",".join(map(str, row)) for row in table)
    (folder / "w.csv").write_text(rows + "\n")
    path = folder / "weights.mfg"
    path.write_text(
        """
model pairs
enum Hand { rock, paper, scissors }
objective nash
horizon 2
population player {
  weights w from "w.csv"
  state  x : Hand ~ uniform
  action a : Hand
  x' = a
  let size = if x == paper then 2 else 1
  reward all = size * mean(
    w[q] * (if q.x == x then 1 else if q.x == rock then 0.5 else 0) for q in others(player)
  )
}
"""
    )
    return path


def test_weights_against_enumeration(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = rng.uniform(0, 1, (4, 4)).round(3)
    np.fill_diagonal(table, 0)
    model = load(weighted_game(tmp_path, table)).model
    found = measured(model, "player", "reward")
    profiles = all_profiles(3, 3)
    values = np.zeros((4, 3, 1, len(profiles)))
    for i in range(4):
        w = np.delete(table[i], i)
        for x in range(3):
            seen = np.where(profiles == x, 1.0, np.where(profiles == 0, 0.5, 0.0))
            values[i, x, 0] = (2 if x == 1 else 1) * (seen * w).mean(-1)
    exact = measure(of_arrays(values), 4, 3, rewards=True)
    assert found.players is not None
    assert found.centred_players is not None
    assert exact.centred is not None
    np.testing.assert_allclose(found.players[:, 1], exact.total, atol=1e-10)
    np.testing.assert_allclose(found.players[:, 0], exact.total, atol=1e-10)
    np.testing.assert_allclose(found.centred_players[:, 1], exact.centred, atol=1e-10)
    assert near(found.anonymity, float(exact.anonymity.max()), 1e-10)
    assert near(found.heterogeneity, float(exact.heterogeneity.max()), 1e-10)


def test_witnesses_attain_what_they_say() -> None:
    """The worst player and its trait values, put into the rules of the spec by hand."""
    drawn = asymmetry(load("specs/asymmetric_sis.mfg").model, "person", "dynamics").witness
    assert drawn is not None
    assert (drawn["h"], drawn["a"], drawn["law of person"]) == ("S", "out", "100% I")
    assert near(float(drawn["distance"]), 2 * abs(float(drawn["beta"]) - 0.81))
    rows = np.genfromtxt("specs/data/asymmetric_players.csv", delimiter=",", names=True)
    given = asymmetry(load("specs/a_sis_players.mfg").model, "person", "reward").witness
    assert given is not None
    fear = rows["fear"][int(given["player"])]
    assert fear == given["fear"]
    assert near(float(given["distance"]), abs(fear - rows["fear"].mean()), 1e-11)


def test_shares_and_places_of_a_certificate() -> None:
    found = asymmetry(load("specs/taxi.mfg").model, "driver", "reward", most=0.1 * 0.3)
    assert found.verdict == "proved"  # a step of driving costs 0.1, factors are within 0.3 of 1
    assert near(found.lower, 0.03, 1e-9)
    assert [share.term for share in found.shares] == ["heterogeneity", "non-anonymity"]
    assert found.culprit is not None
    assert Path("specs/taxi.mfg").read_text()[found.culprit.start :].startswith("uniform")


def test_names_that_do_not_exist() -> None:
    model = load("specs/a_rps.mfg").model
    with pytest.raises(ValueError, match="nobody"):
        asymmetry(model, "nobody", "reward")
    with pytest.raises(ValueError, match="nothing"):
        asymmetry(model, "player", "nothing")


def test_a_box_of_parameters_has_its_worst_values() -> None:
    model = load("asymmetric_sis").model
    box = box_of(model)
    assert set(box) == {"sick", "c_inf", "c_home"}  # the others are folded into types
    found = asymmetry(model, "person", "reward", box=box)
    ends = [measured(bound(model, values), "person", "reward") for values in corners(box)]
    assert found.lower == pytest.approx(max(e.lower for e in ends), abs=1e-9)
    assert found.upper == pytest.approx(max(e.upper for e in ends), abs=1e-9)
    assert found.witness is not None and found.witness["c_inf"] == 5.0
    assert "c_inf in [0, 5]" in found.assumptions
    refuted = asymmetry(model, "person", "reward", most=0.2, box=box)
    assert (refuted.verdict, asymmetry(model, "person", "reward", most=0.2).verdict) == (
        "refuted",
        "proved",
    )


PAID = """
model paid
objective nash
horizon 3
population p as mu {{
  trait k : real in [0.2, 0.8] ~ uniform
  state x : bool ~ bernoulli(0.5)
  action a : bool
  observe x
  noise u : bool ~ bernoulli({chance})
  {noise}
  x' = a
  reward r = -{reward} * prob(q.x for q in p)
}}
"""


@pytest.mark.parametrize(
    "chance, noise, reward, true",
    [
        ("k", "", "(if u then 1 else 0)", 0.3),  # the mean is -k, of values that all have alike
        ("0.5", "", "(if u then k else 0.5 * k)", 0.225),
        ("k", "noise v : bool ~ bernoulli(if u then 1 else 0.5)", "(if v then 1 else 0)", 0.15),
    ],
)
def test_rewards_are_means_over_noises_that_know_the_player(
    chance: str, noise: str, reward: str, true: float
) -> None:
    model = load(text=PAID.format(chance=chance, noise=noise, reward=reward)).model
    for what in ("reward", "r"):
        found = asymmetry(model, "p", what)
        assert found.verdict == "proved"
        assert near(found.lower, true, 1e-9) and near(found.upper, true, 1e-9)


def test_of_many_outcomes_those_that_know_the_player_are_averaged() -> None:
    noise = "noise w : int in 0..63 ~ uniform"
    text = PAID.format(chance="k", noise=noise, reward="(if u then w / 63 else 0)")
    found = asymmetry(load(text=text).model, "p", "reward")
    assert found.upper is not None and 0.15 <= found.upper <= 0.3 + 1e-9  # the mean of w is 1/2


def test_a_chance_and_a_reward_in_one_parameter_are_searched_together() -> None:
    """c k c over c in [0, 1]: the mean is quadratic in c, which no end alone would show."""
    text = PAID.format(chance="k * c", noise="", reward="(if u then 4 * (1 - c) else 0)")
    text = text.replace("objective", "param c : real in [0, 1] = 0\nobjective", 1)
    model = load(text=text).model
    whole = asymmetry(model, "p", "reward", box=box_of(model))
    assert whole.upper is not None and whole.upper >= 0.3 * (1 - 1e-6)  # at c = 1/2


COIN = "trait b : bool ~ bernoulli(0.5)"
WIDE = "trait c : real in [0, 3] ~ uniform([ind(b), ind(b) + 1])"


def with_causes(traits: str, value: str, seen: str = "x, t") -> str:
    lines = "\n".join(f"  {line}" for line in traits.split(" / "))
    return f"""
model causes
objective nash
horizon 2
population p as mu {{
{lines}
  state x : bool ~ bernoulli(0.5)
  action a : bool
  x' = x
  reward r = {value}
  observe {seen}
}}
"""


@pytest.mark.parametrize(
    ("traits", "value", "true"),
    [
        (f"{COIN} / {WIDE}", "c", 1.0),  # c in [0, 2] with mean 1
        (f"{WIDE} / {COIN}", "c", 1.0),
        (f"{WIDE} / {COIN}", "c * c", 8 / 3),  # E c c = (1/3 + 7/3) / 2
        (f"{COIN} / trait c : bool ~ bernoulli(if b then 0.9 else 0.1)", "ind(c)", 0.5),
        (
            f"{COIN} / trait d : bool ~ bernoulli(if b then 0.2 else 0.4)"
            " / trait c : bool ~ bernoulli(if d then 0.9 else 0.1)",
            "ind(c)",
            0.66,  # the share of c is 0.3 * 0.9 + 0.7 * 0.1
        ),
        (
            "trait b : real in [0, 1] ~ uniform / trait c : real in [0, 3] ~ uniform([b, b + 1])",
            "c + 0.001 * b",
            1.0005,
        ),
        (
            "trait b : real in [0, 1] ~ beta(2, 5)"
            " / trait c : real in [0, 3] ~ uniform([b, b + 1])",
            "c",
            2 - (2 / 7 + 0.5),
        ),
    ],
)
def test_laws_of_traits_that_read_traits(traits: str, value: str, true: float) -> None:
    """The average is over all that a trait depends on, whether rewards read it or not."""
    model = load(text=with_causes(traits, value)).model
    found = asymmetry(model, "p", "reward")
    assert found.verdict == "proved"
    assert near(found.lower, true, 1e-9) and near(found.upper, true, 2e-6)


def test_dynamics_by_a_trait_that_has_a_cause() -> None:
    traits = f"{COIN} / trait c : bool ~ bernoulli(if b then 0.9 else 0.1)"
    text = with_causes(traits, "0").replace("x' = x", "x' = c")
    found = measured(load(text=text).model, "p", "dynamics")
    assert near(found.lower, 1.0, 1e-9) and near(found.upper, 1.0, 1e-9)
    assert near(found.mean[0], 1.0, 1e-9) and near(found.mean[1], 1.0, 1e-9)


def test_a_chance_that_is_itself_drawn_attains_nothing() -> None:
    """Half of all have c, whoever they are; masses that move with a draw give no lower bound."""
    traits = "trait b : real in [0, 1] ~ uniform / trait c : bool ~ bernoulli(b)"
    found = measured(load(text=with_causes(traits, "ind(c)")).model, "p", "reward")
    assert found.lower == 0.0 and near(found.upper, 0.5, 1e-9)


@pytest.mark.parametrize(
    ("traits", "why"),
    [
        (f"{COIN} / {WIDE}", "the law of the trait `c` reads `b`, which policies see"),
        (
            "trait c : bool ~ bernoulli(0.5) / trait b : bool ~ bernoulli(if c then 0.9 else 0.2)",
            "the trait `b`, which policies see, tells of others",
        ),
    ],
)
def test_a_trait_that_is_seen_and_bound_to_one_that_is_not(traits: str, why: str) -> None:
    """The average over those who look alike is none over everybody."""
    value = "c" if "real" in traits else "ind(c)"
    found = asymmetry(load(text=with_causes(traits, value, "x, b, t")).model, "p", "reward")
    assert (found.verdict, found.reason) == ("unknown", "unsupported")
    assert found.lower == 0.0 and found.detail is not None and found.detail.startswith(why)


def test_a_row_of_a_file_that_is_seen_in_part(tmp_path: Path) -> None:
    """No player has b = 0 and c = 1, so nobody is paid."""
    (tmp_path / "rows.csv").write_text("b,c\n0,0\n0,0\n0,0\n1,1\n")
    rows = " / ".join(f'trait {name} : real in [0, 1] from "rows.csv"' for name in "bc")
    path = tmp_path / "rows.mfg"
    path.write_text(with_causes(rows, "c * (1 - b)", "x, b, t"))
    found = asymmetry(load(path).model, "p", "reward")
    assert (found.verdict, found.lower) == ("unknown", 0.0)


def test_a_trait_by_a_state_that_all_have_alike() -> None:
    """The states of an environment move on, so that none of today stands for the first one."""
    traits = "trait c : bool ~ bernoulli(if e.z then 0.9 else 0.1)"
    shared = "environment e {\n  state z : bool ~ bernoulli(0.5)\n  z' = z\n}\npopulation p"
    text = with_causes(traits, "ind(c)").replace("population p", shared)
    found = asymmetry(load(text=text).model, "p", "reward")
    assert (found.verdict, found.lower) == ("unknown", 0.0)


CHANCES = (0.0, 0.25, 0.5, 0.9, 1.0)


@pytest.mark.parametrize("seed", range(12))
def test_random_causes_against_enumeration(seed: int) -> None:
    """Three coins, some thrown after others: every case with its share, summed by hand."""
    rng = np.random.default_rng(seed)
    causes = [[j for j in range(i) if rng.random() < 0.7] for i in range(3)]
    cases = list(product((0, 1), repeat=3))
    chance = [
        {v: float(rng.choice(CHANCES)) for v in product((0, 1), repeat=len(c))} for c in causes
    ]
    factors = rng.choice([-2.0, 0.0, 0.5, 1.0], 3)

    def written(i: int, left: list[int], known: tuple[int, ...] = ()) -> str:
        if not left:
            return str(chance[i][known])
        yes, no = (written(i, left[1:], (*known, v)) for v in (1, 0))
        return f"(if {'bcd'[left[0]]} then {yes} else {no})"

    coins = [f"trait {'bcd'[i]} : bool ~ bernoulli({written(i, causes[i])})" for i in range(3)]
    reward = " + ".join(f"({w}) * ind({n})" for w, n in zip(factors, "bcd", strict=True))
    text = with_causes(" / ".join(rng.permutation(coins)), f"{reward} + 1.5 * ind(b) * ind(d)")
    found = asymmetry(load(text=text).model, "p", "reward")
    shares = np.ones(len(cases))
    for k, case in enumerate(cases):
        for i, v in enumerate(case):
            yes = chance[i][tuple(case[j] for j in causes[i])]
            shares[k] *= yes if v else 1 - yes
    values = np.array([factors @ case + 1.5 * case[0] * case[2] for case in cases])
    true = float(np.abs(values - shares @ values)[shares > 0].max())
    assert near(found.lower, true, 1e-9) and near(found.upper, true, 1e-9)
