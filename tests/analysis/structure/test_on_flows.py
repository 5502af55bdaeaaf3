"""Monotone on flows: hand-made games, random ones against null spaces and samples."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from mfdsl.compiler.analysis.structure.spans import simplex_span, span_of
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import certificate, certificates, line, model_of

GAME = """model flows

objective nash
horizon {horizon}

population person as mu {{
  state  x : int in 0..{last} ~ {initial}
  action a : int in 0..1
  x' ~ {kernel}
  reward r = {reward}
}}
"""
HALVES = "mix { 0.5 -> 0, else -> 1 }"
STEP = "mix { 0.7 -> if a == 1 then 1 else 0, else -> x }"


def game(reward: str, *, kernel: str = STEP, horizon: object = 4, last: int = 3) -> Model:
    return model_of(
        GAME.format(horizon=horizon, last=last, initial=HALVES, kernel=kernel, reward=reward)
    )


UNREACHED = "if x >= 2 then mu[x] else -mu[x]"
TABLE = [
    ("nobody gets there", UNREACHED, STEP, 4, "proved"),
    ("irrational chances", UNREACHED, STEP.replace("0.7", "exp(-1.0)"), 4, "proved"),
    ("a curved reward", "if x >= 2 then mu[x] else -mu[x] * (1 + 0.2 * mu[0])", STEP, 4, "proved"),
    ("one stage", "mu[x]", STEP, 1, "proved"),
    ("two stages", "mu[x]", STEP, 2, "refuted"),
    ("the first stage", "if t == 0 then mu[x] else -mu[x]", STEP, 4, "proved"),
    ("the second stage", "if t == 1 then mu[x] else 0", STEP, 4, "refuted"),
    ("actions", "if a == 1 then mean(ind(y.a == 1) for y in person) else 0", STEP, 1, "refuted"),
    ("a convex reward", "if x == 1 then mu[1]^2 else 0", STEP, 4, "refuted"),
    ("nobody moves", "mu[x]", "mix { 0.5 -> 0, else -> 1 }", 9, "proved"),
]


@pytest.mark.parametrize(("reward", "kernel", "horizon", "verdict"), [r[1:] for r in TABLE])
def test_games_that_are_not_monotone_at_all_laws(
    reward: str, kernel: str, horizon: int, verdict: str
) -> None:
    model = game(reward, kernel=kernel, horizon=horizon)
    both = certificates(model, "monotone")
    assert both["monotone"].verdict != "proved"
    found = both["monotone_on_flows"]
    assert found.verdict == verdict, found.detail
    if verdict == "refuted":
        assert found.witness is not None and float(found.witness["inner product"]) > 0
    if verdict == "proved" and "exp" not in kernel and "0.2" not in reward:
        assert found.rigor == "exact"


def test_what_is_monotone_at_all_laws_is_so_on_flows() -> None:
    found = certificate(line("-mu[x]"), "monotone_on_flows")
    assert found.verdict == "proved"
    assert [o.claim for o in found.obligations] == ["dynamics_independent_of_mu", "monotone"]


def test_gains_of_one_stage_pay_for_losses_of_another() -> None:
    """The even share v of the first move is felt twice: 1 v^2 - c v^2."""
    keep = "x' = if t == 0 then a else x"
    text = GAME.format(horizon=3, last=1, initial="1", kernel="0", reward="{reward}")
    text = text.replace("x' ~ 0", keep).replace("~ 1", "= 1")
    for loss, verdict in (("2", "proved"), ("0.5", "refuted"), ("1", "proved")):
        reward = f"(if t == 1 then 1 else -{loss}) * mu[x]"
        found = certificate(model_of(text.replace("{reward}", reward)), "monotone_on_flows")
        assert found.verdict == verdict, loss
        assert found.method == ("slopes on differences of flows, all stages together",)
    late = text.replace("horizon 3", "horizon 3\ndiscount 0.5")
    reward = "(if t == 1 then 1 else -1.9) * mu[x]"
    assert certificate(model_of(late.replace("{reward}", reward)), "monotone_on_flows").verdict == (
        "refuted"
    )


def test_horizons_without_end_and_laws_that_are_kept() -> None:
    endless = "infinite\ndiscount 0.9"
    assert certificate(game(UNREACHED, horizon=endless), "monotone_on_flows").verdict == "proved"
    kept = certificate(game(UNREACHED, horizon="stationary\ndiscount 0.9"), "monotone_on_flows")
    assert (kept.verdict, kept.reason) == ("unknown", "unsupported")
    worse = certificate(game("mu[x]", horizon=endless), "monotone_on_flows")
    assert worse.verdict == "unknown"


def test_dynamics_that_read_the_law_have_no_fixed_flows() -> None:
    reads = game("-mu[x]", kernel="mix { mu[0] -> 0, else -> x }")
    found = certificate(reads, "monotone_on_flows")
    assert found.verdict == "unknown" and found.detail is not None and "law" in found.detail


def test_spans_are_the_same_for_equal_spaces() -> None:
    from fractions import Fraction as F

    one = span_of([{0: F(1), 2: F(-1)}, {1: F(2), 2: F(-2)}, {0: F(1), 1: F(-1)}])
    assert one == simplex_span([2, 0, 1])
    assert span_of([{}]) == ()


def kernel_of(rows: np.ndarray) -> str:
    """Chances [states, actions, states] as text."""
    arms = []
    for s in range(rows.shape[0]):
        for a in range(rows.shape[1]):
            *first, _ = rows[s, a]
            parts = ", ".join(f"{p} -> {k}" for k, p in enumerate(first))
            arms.append(f"if x == {s} and a == {a} then mix {{ {parts}, else -> {len(first)} }}")
    *inner, last = arms
    return " else ".join(inner) + " else " + last.partition(" then ")[2]


def form_of(matrices: Sequence[np.ndarray], rows: np.ndarray, initial: np.ndarray) -> float:
    """The largest eigenvalue of the rewards' form on differences of flows, from an SVD.

    Variables are the masses [stages, states, actions] of cells that can be reached.
    """
    states, actions, _ = rows.shape
    count, cells = len(matrices), states * actions
    equations = []
    for s in range(states):
        row = np.zeros((count, states, actions))
        row[0, s] = 1
        equations.append(row.ravel())
    for t in range(count - 1):
        for s in range(states):
            row = np.zeros((count, states, actions))
            row[t + 1, s] = 1
            row[t] -= rows[:, :, s]
            equations.append(row.ravel())
    reached = initial > 0
    for t in range(count):
        for s in np.flatnonzero(~reached):
            for a in range(actions):
                row = np.zeros((count, states, actions))
                row[t, s, a] = 1
                equations.append(row.ravel())
        reached = (rows[reached] > 0).any((0, 1))
    _, values, right = np.linalg.svd(np.array(equations))
    null = right[(values > 1e-10).sum() :]
    whole = np.zeros((count * cells, count * cells))
    for t, matrix in enumerate(matrices):
        block = slice(t * cells, (t + 1) * cells)
        spread = np.kron(matrix, np.ones((actions, actions)))
        whole[block, block] = (spread + spread.T) / 2
    return float(np.linalg.eigvalsh(null @ whole @ null.T)[-1])


@pytest.mark.parametrize("seed", range(40))
def test_random_linear_games_agree_with_null_spaces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states, horizon = 3, 2 + seed % 3
    weights = rng.integers(0, 3, (states, 2, states)) + (np.arange(states) == 0)
    rows = np.round(weights / weights.sum(-1, keepdims=True), 2)
    rows[..., -1] = np.round(1 - rows[..., :-1].sum(-1), 2)
    entries = rng.integers(-4, 5, (states, states)).astype(float)
    if seed % 2:  # near the edge of being monotone
        entries = -(entries @ entries.T) / 8 + (entries - entries.T)
        entries[2, 2] += seed % 5
    scale = [1.0] * horizon
    if seed % 4 == 3:
        scale[1] = -0.25
    arms = " else ".join(
        f"if x == {s} then " + " + ".join(f"({v}) * mu[{z}]" for z, v in enumerate(row))
        for s, row in enumerate(entries.tolist())
    )
    head, _, tail = arms.rpartition("if x == 2 then ")
    reward = f"(if t == 1 then {scale[1]} else 1) * ({head}{tail})"
    model = game(reward, kernel=kernel_of(rows), horizon=horizon, last=states - 1)
    top = form_of([f * entries for f in scale], rows, np.array([1.0, 1.0, 0.0]))
    both = certificates(model, "monotone")
    found = both["monotone_on_flows"]
    assert found.verdict == ("refuted" if top > 1e-9 else "proved"), (top, found.detail)
    if both["monotone"].verdict == "proved":
        assert found.verdict == "proved"


def flow(rng: np.random.Generator, rows: np.ndarray, stages: int) -> list[np.ndarray]:
    """The laws [states, actions] under a random policy."""
    state, found = np.array([0.5, 0.5, 0.0]), []
    for _ in range(stages):
        policy = rng.dirichlet(np.full(2, 0.5), len(state))
        law = state[:, None] * policy
        found.append(law)
        state = np.einsum("sa,sat->t", law, rows)
    return found


def gain(model: Model, one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """The inner product of both differences, by the interpreter."""
    total = 0.0
    for t, (a, b) in enumerate(zip(one, other, strict=True)):
        laws = [{((s,), (u,)): float(m) for (s, u), m in np.ndenumerate(law)} for law in (a, b)]
        for (s, u), move in np.ndenumerate(a - b):
            values = [meaning.reward(model, t, law, (s,), (u,)) for law in laws]
            total += (values[0] - values[1]) * move
    return total


@pytest.mark.parametrize("seed", range(8))
def test_random_curved_games_are_never_called_monotone_wrongly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(-1, 1, 3).round(2)
    reward = f"{a} * mu[x]^2 - {abs(b)} * mu[x] + {c} * x * mean(y.a for y in person)"
    rows = np.zeros((3, 2, 3))
    for s in range(3):
        rows[s, 0] += 0.3 * np.eye(3)[s] + 0.7 * np.eye(3)[0]
        rows[s, 1] += 0.3 * np.eye(3)[s] + 0.7 * np.eye(3)[1]
    model = game(reward, horizon=2, last=2)
    found = certificate(model, "monotone_on_flows", 2.0)
    flows = [flow(rng, rows, 2) for _ in range(40)]
    worst = max(gain(model, one, other) for one, other in pairwise(flows))
    if found.verdict == "proved":
        assert worst <= 1e-9
    if found.verdict == "refuted":
        assert found.witness is not None and float(found.witness["inner product"]) > 0


HIDING = """model hiding
objective nash
horizon STEPS
population p as mu {
  state x : bool ~ bernoulli(0.5)
  trait c : bool ~ bernoulli(0.3)
  action a : bool
  x' = NEXT
  reward r = REWARD
  OBSERVE
}
"""
APART = "ind(a) * (prob(q.a and q.x for q in p) - prob(q.a and not q.x for q in p))"


@pytest.mark.parametrize(
    ("reward", "next_", "steps", "observe", "verdict"),
    [
        (APART, "x", 1, "observe t", "unknown"),
        (APART, "x", 1, "observe x", "unknown"),
        (APART, "x", 1, "observe x, c", "refuted"),
        (APART, "x", 1, "", "refuted"),
        ("-ind(c) * mu[x]", "a", 2, "observe x, t", "unknown"),
        ("-ind(c) * mu[x]", "a", 2, "observe x, c, t", "refuted"),
        ("mu[x]", "a", 2, "observe x, c", "unknown"),
        ("mu[x]", "x", 2, "observe x", "proved"),
    ],
)
def test_flows_of_policies_that_do_not_see_all_are_fewer(
    reward: str, next_: str, steps: int, observe: str, verdict: str
) -> None:
    """Without x as many act with x as without, so that APART pays 0."""
    text = HIDING.replace("REWARD", reward).replace("NEXT", next_).replace("STEPS", str(steps))
    model = model_of(text.replace("OBSERVE", observe))
    both = certificates(model, "monotone")
    assert both["monotone"].verdict != "proved"
    found = both["monotone_on_flows"]
    assert found.verdict == verdict, found.detail
    if verdict == "unknown":
        assert found.detail is not None and "do not see" in found.detail
