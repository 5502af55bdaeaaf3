"""Weighted means of emitted modules against plain loops, and agents that stand in files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mfdsl.compiler.backend.particles.rewrite import Rewriter
from mfdsl.compiler.backend.particles.roots import running
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.runtime.simulator import SimulationError, Simulator
from tests.agents_oracle import compared

N = 7
RING = Path(__file__).parents[2] / "specs" / "weighted_rps.mfg"
FORMS = {
    "one": "mean(w[q] for q in person)",
    "value": "mean(w[q] * q.y for q in person)",
    "others": "mean(w[q] * q.y for q in others(person))",
    "tally": "mean(w[q] * ind(q.x) for q in person)",
    "square": "mean(w[q] * beta * (y - q.y)^2 for q in person)",
    "wave": "mean(w[q] * sin(y - q.y) for q in others(person))",
    "payoff": "mean(w[q] * table[k, q.k] for q in person)",
    "alike": "mean(w[q] * ind(q.k == k and q.a == a) for q in others(person))",
    "order": "mean(w[q] * (if q.k > k then q.k / (1 + k) else 0.1) for q in others(person))",
    "far": "mean(w[q] * max(0, y - q.y) for q in person)",
    "far_others": "mean(w[q] * exp(-abs(y - q.y)) for q in others(person))",
    "mixed": "mean(w[q] * (if q.a == a then q.y else beta) for q in others(person))",
    "inner": "mean((1 - w[q] * max(y, q.y)) * q.y for q in person)",
    "some": "if prob(q.x for q in person) > 0 then mean(w[q] * q.y for q in person if q.x) else 0",
    "near": "if prob(q.k == k for q in person) > 0"
    " then mean(w[q] * y * q.y for q in person if q.k == k) else 0",
    "two": "mean(v[q] * q.y - w[q] * y for q in person)",
    "over": "sum(mean(w[q] * ind(q.k == c) for q in person) * (c + 1)^2 for c in 0..5)",
    "square_of": "mean(w[q] * q.y for q in person)^2",
    "average": "mean(w[q] * q.y for q in person) / max(1, mean(w[q] for q in person))",
    "within": "mean(ind(q.x) * mean(w[r] * r.y for r in person) for q in person)",
    "shared": "mean(w[q] * market.z * q.y for q in person)",
    "constant": "mean(w[q] * market.z for q in others(person))",
    "branch": "mean(if a then w[q] * q.y else -w[q] for q in others(person))",
    "vector": "norm(mean(w[q] * q.p for q in person))",
    "long": "mean(w[q] * q.l for q in others(person))[4]",
}
PAIRS = ("far", "far_others", "mixed", "inner")
SPEC = """model forms

objective nash
horizon 3

param table : real[6, 6] = TABLE

environment market {
  state z : real in [0, 1] ~ uniform
  z' = z / 2
}

population person {
  trait beta : real from "people.csv"
  trait k    : int in 0..5 from "people.csv"
  weights w from "w.csv"
  weights v from "v.csv"

  state y : real in [-2, 2] ~ uniform
  state p : real[2] in [-1, 1] ~ uniform
  state l : real[5] in [-1, 1] ~ uniform
  state x : bool ~ bernoulli(0.5)
  action a : bool

  y' = clip(y + beta * mean(w[q] * (q.y - y) for q in person))
  p' = p
  l' = l
  x' ~ bernoulli(if a then beta else 0.5)
""".replace("TABLE", repr([[i + j**2 / 8 for j in range(6)] for i in range(6)]))


def tables(seed: int = 0, agents: int = N) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    people = [generator.random(agents).round(2), generator.integers(0, 6, agents)]
    return {
        "people": np.column_stack(people),
        "w": generator.normal(size=(agents, agents)).round(3),
        "v": generator.random((agents, agents)).round(3),
    }


def written(folder: Path, made: dict[str, np.ndarray], forms: dict[str, str]) -> Path:
    for name, table in made.items():
        head = ["beta,k"] if name == "people" else []
        rows = [",".join(repr(float(x)) for x in row) for row in table]
        (folder / f"{name}.csv").write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")
    rewards = "".join(f"  reward {name} = {form}\n" for name, form in forms.items())
    (folder / "forms.mfg").write_text(SPEC + rewards + "}\n", encoding="utf-8")
    return folder / "forms.mfg"


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Game:
    return load(written(tmp_path_factory.mktemp("forms"), tables(), FORMS))


def test_every_form_is_what_the_loops_give(forms: Game) -> None:
    simulator = forms.simulator(batch=3, seed=4)
    assert simulator.agents == {"person": N}
    for game_ in (0, 2):
        worst, count = compared(forms.model, simulator, steps=2, game=game_)
        assert worst <= 1e-12
        assert count > N * len(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_pairs_are_left_only_to_what_does_not_factor(forms: Game, name: str) -> None:
    rewriter = Rewriter(forms.model)
    running(rewriter)
    term = next(t for t in forms.model.player("person").rewards if t.name == name)
    below = {term.node}
    for i in reversed(range(term.node + 1)):
        below |= set(forms.model.nodes[i].args) if i in below else set()
    ways = {c.strategy for c in rewriter.choices if c.node in below}
    assert ("pairs" in ways) == (name in PAIRS)
    assert ("weights" in ways) == (name not in PAIRS)


def test_no_tensor_over_pairs_is_made_where_the_weights_factor(tmp_path: Path) -> None:
    batch, agents = 50, 40
    factored = {name: form for name, form in FORMS.items() if name not in PAIRS}
    game_ = load(written(tmp_path, tables(agents=agents), factored))
    simulator = game_.simulator(batch=batch, seed=1)
    state, module = simulator.reset(), simulator.program.module
    acts = torch.zeros(batch, agents, dtype=torch.bool)
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                sizes.append(made.untyped_storage().nbytes() // made.element_size())
            return made

    with Watch():
        simulator.step(0, state, module.Action(person=module.PersonAction(a=acts)))
    assert max(sizes) <= batch * agents * 12 < batch * agents * agents  # values of (k, a)


def test_the_batch_goes_in_blocks_where_pairs_are_needed(forms: Game) -> None:
    text = forms.emit("agents")
    assert "_blocks(" in text and "weights_.mT[None]" in text


def moved(group: Any, order: torch.Tensor) -> Any:
    return type(group)(
        **{
            field: type(part)(*(v[:, order] for v in part)) if field == "person" else part
            for field, part in group._asdict().items()
        }
    )


def test_agents_permuted_with_their_rows_and_weights_permute_the_results(tmp_path: Path) -> None:
    made = tables(3)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    other = {
        name: table[order.numpy()] if name == "people" else table[np.ix_(order, order)]
        for name, table in made.items()
    }
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    games = [
        load(written(folder, files, FORMS))
        for folder, files in zip(folders, (made, other), strict=True)
    ]
    one, two = (game_.simulator(batch=2, seed=5) for game_ in games)
    draws = one._draws(one.program.module.Initial, one.program.module.INITIALS, 0, "initial")
    first = one.program.module.init(one.params, draws)
    again = as_of(two, moved(draws, order))
    second = two.program.module.init(two.params, again)
    assert_equal(moved(first, order), second)
    action = one.program.module.Action(
        person=one.program.module.PersonAction(a=torch.rand(2, N) < 0.5)
    )
    noise = one.noise(0)
    after, rewards = one.program.module.step(one.params, one.time(0), first, action, noise)
    given = (as_of(two, moved(group, order)) for group in (action, noise))
    there, found = two.program.module.step(two.params, two.time(0), second, *given)
    assert_equal(moved(after, order), there)
    assert torch.allclose(rewards.person[:, order], found.person, rtol=0, atol=1e-12)


def as_of(simulator: Simulator, group: Any) -> Any:
    """The nested tuples of one module as those of another."""
    kind = getattr(simulator.program.module, type(group).__name__)
    parts = {f: kind.__annotations__[f](*part) for f, part in group._asdict().items()}
    return kind(**parts)


def assert_equal(one: Any, two: Any) -> None:
    for field, part in one._asdict().items():
        for a, b in zip(part, getattr(two, field), strict=True):
            assert torch.allclose(a.double(), b.double(), rtol=0, atol=1e-12)


def test_the_same_seed_gives_the_same_game(forms: Game) -> None:
    runs = [forms.simulator(batch=2, seed=seed).reset() for seed in (1, 1, 2)]
    assert torch.equal(runs[0].person.y, runs[1].person.y)
    assert not torch.equal(runs[0].person.y, runs[2].person.y)
    for run in runs:
        assert run.person.beta[0].tolist() == tables()["people"][:, 0].tolist()


@pytest.mark.parametrize("agents", [N - 1, N + 1, {"person": 1}])
def test_another_number_of_agents_is_refused(forms: Game, agents: Any) -> None:
    with pytest.raises(SimulationError, match="give the 7 agents of `person` one by one"):
        forms.simulator(agents=agents)


def test_weights_have_no_tables() -> None:
    with pytest.raises(UsageError, match="weights between single agents, which have no limit"):
        _ = load(RING).program


def test_a_long_table_is_a_text_in_the_module(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    table = generator.normal(size=(80, 80))
    people = np.column_stack([generator.random(80).round(2), generator.integers(0, 6, 80)])
    made = {"people": people, "w": table, "v": table.T}
    game_ = load(written(tmp_path, made, {"value": FORMS["value"]}))
    module = game_.simulator().program.module
    assert (80, 80) in [dims for dims, _ in module._ARRAYS]
    held = next(values for dims, values in module._ARRAYS if dims == (80, 80))
    assert np.array_equal(np.array(held).reshape(80, 80), table)


def test_rewards_on_the_ring_add_up_to_nothing_and_even_play_is_worth_nothing() -> None:
    game_ = load(RING)
    simulator = game_.simulator(batch=4, seed=3)
    module = simulator.program.module
    hands = torch.randint(0, 3, (4, 12), generator=torch.Generator().manual_seed(1))
    state = module.State(player=module.Player(x=hands))
    action = module.Action(player=module.PlayerAction(a=hands))
    _, rewards = module.step(simulator.params, simulator.time(0), state, action, simulator.noise(0))
    assert rewards.player.abs().max() > 0.05
    assert torch.allclose(rewards.player.sum(1), torch.zeros(4, dtype=torch.float64), atol=1e-15)
    model = game_.model
    weights = np.array(model.arrays[model.population.weights[0].array].values).reshape(12, 12)
    assert np.array_equal(weights, weights.T)
    payoff = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    expected = [
        sum(weights[i, j] * payoff[hands[0, i], hands[0, j]] for j in range(12)) / 11
        for i in range(12)
    ]
    assert np.allclose(rewards.player[0].numpy(), expected, rtol=0, atol=1e-15)
    assert not payoff.sum(0).any()  # against even play every hand is worth 0
