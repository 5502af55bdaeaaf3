"""For every shipped spec: interpreter, emitted kernel, emitted step and exact flow agree."""

import functools
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import Options, compile_file
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.model import Model
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.program import Params, Program, load_program
from tests import shipped
from tests.shipped import SPECS

TOO_LARGE = {"sioux_falls"}  # 30 million pairs of state and action: test_catalogue.py plays it
NAMES = [n for n in shipped.NAMES if n not in TOO_LARGE and shipped.model_of(n).tabular]
ATOMS = 12
DRAWS = 1_000_000
STAGES = 8
# At their defaults the exact laws of games that round lie on jumps, which no sample can follow.
OFF_THE_JUMPS = {"linear_quadratic": {"delta": 0.11}, "dynamic_routing": {"vehicles": 0.3}}
# A single-agent problem in the clothes of a game: the warning is right.
ALONE = {"no_interaction"}


@dataclass(frozen=True)
class Subject:
    """A compiled spec with its program and the tensors that index its joint values."""

    model: Model
    program: Program
    params: Params
    states: Tensor
    actions: Tensor
    legal: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.program.states.values(), *self.program.actions.values())


@functools.cache
def subject(name: str, **parameters: float) -> Subject:
    model = shipped.model_of(name)
    if parameters:
        options = Options(parameters=parameters)
        model = compile_file(SPECS / f"{name}.mfg", options).require_model()
    program = load_program(emit_torch(model, source_name=name, digest=""), model, name)
    params = program.params()
    states = torch.tensor(meaning.joint_states(model))
    actions = torch.tensor(meaning.joint_actions(model))
    legal = program.module.legal(params, torch.tensor(0))[0].expand(len(states), len(actions))
    return Subject(model, program, params, states, actions, legal)


def stage_of(game: Subject) -> int:
    """A stage in the middle of the horizon."""
    return (game.program.horizon or 3) // 2


def atoms_of(game: Subject, seed: int) -> tuple[list[tuple[int, int]], Tensor]:
    """A few random legal pairs of flat state and action, and random weights of them."""
    generator = torch.Generator().manual_seed(seed)
    pairs = game.legal.nonzero()
    chosen = pairs[torch.randperm(len(pairs), generator=generator)[:ATOMS]]
    weights = torch.rand(len(chosen), generator=generator, dtype=torch.float64) + 0.1
    return [(int(s), int(a)) for s, a in chosen], weights / weights.sum()


def table_of(game: Subject, pairs: list[tuple[int, int]], weights: Tensor) -> Tensor:
    """The joint law as the dense table of the emitted module, [1, *S, *A]."""
    flat = torch.zeros(len(game.states), len(game.actions), dtype=torch.float64)
    for (state, action), weight in zip(pairs, weights, strict=True):
        flat[state, action] = weight
    return flat.reshape(1, *game.shape)


def rows_of(game: Subject, kernel: Tensor) -> Tensor:
    return kernel.reshape(len(game.states), len(game.actions), len(game.states))


def agents_at(game: Subject, states: Tensor, actions: Tensor) -> tuple[tuple, tuple]:
    """The named tuples of states and actions [B, N] of agents at flat indices."""
    module = game.program.module
    state = module.State(*(column for column in game.states[states].unbind(-1)))
    return state, module.Action(*(column for column in game.actions[actions].unbind(-1)))


def flat_states(game: Subject, state: tuple) -> Tensor:
    """Flat indices [B, N] of a State."""
    flat = torch.zeros_like(state[0])
    for values, size, first in zip(
        state, game.program.states.values(), game.states[0].tolist(), strict=True
    ):
        flat = flat * size + (values - first)
    return flat


@pytest.mark.parametrize("name", NAMES)
def test_it_checks_without_a_complaint(name: str) -> None:
    result = compile_file(SPECS / f"{name}.mfg")
    found = [d.code for d in result.diagnostics if d.severity != "note"]
    assert found == (["MFG803"] if name in ALONE else [])
    assert result.require_model().name == name
    assert all(certificate.verdict != "refuted" for certificate in result.certificates)


@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_is_what_enumeration_gives(name: str) -> None:
    game, t = subject(name), stage_of(subject(name))
    pairs, weights = atoms_of(game, seed=1)
    values = [(tuple(game.states[s].tolist()), tuple(game.actions[a].tolist())) for s, a in pairs]
    law = dict(zip(values, weights.tolist(), strict=True))
    table, time = table_of(game, pairs, weights), torch.tensor(t)
    rows = rows_of(game, game.program.module.kernel(game.params, time, table))
    rewards = game.program.module.rewards(game.params, time, table)[0]
    sums = rows.sum(-1)[game.legal]
    assert torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=1e-12)
    number = {tuple(values): i for i, values in enumerate(game.states.tolist())}
    for (s, a), (state, action) in zip(pairs, values, strict=True):
        expected = torch.zeros(len(game.states), dtype=torch.float64)
        for after, mass in meaning.kernel_row(game.model, t, law, state, action).items():
            expected[number[after]] = mass
        assert torch.allclose(rows[s, a], expected, rtol=0, atol=1e-12)
        reward = meaning.reward(game.model, t, law, state, action)
        assert float(rewards[s, a]) == pytest.approx(reward, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_masks_and_initial_laws_are_what_enumeration_gives(name: str) -> None:
    game = subject(name)
    expected = torch.tensor(list(meaning.initial_law(game.model).values()), dtype=torch.float64)
    start = game.program.module.initial_law(game.params).reshape(-1)
    assert torch.allclose(start, expected, rtol=0, atol=1e-15)
    assert float(start.sum()) == pytest.approx(1, abs=1e-12)
    for s in range(0, len(game.states), 1 + len(game.states) // 20):
        for a in range(len(game.actions)):
            state, action = tuple(game.states[s].tolist()), tuple(game.actions[a].tolist())
            assert bool(game.legal[s, a]) == meaning.legal(game.model, 0, state, action)


@pytest.mark.parametrize("name", NAMES)
def test_a_million_simulated_transitions_follow_the_kernel(name: str) -> None:
    game, module = subject(name), subject(name).program.module
    pairs, weights = atoms_of(game, seed=2)
    generator = torch.Generator().manual_seed(3)
    atom = torch.multinomial(weights, DRAWS, replacement=True, generator=generator)[None]
    who = torch.tensor(pairs)
    state, action = agents_at(game, who[atom, 0], who[atom, 1])
    time = torch.tensor(stage_of(game))
    after, _ = module.step(game.params, time, state, action, module.draw_noise(1, DRAWS, generator))
    law = module.empirical(game.params, state, action)
    rows = rows_of(game, module.kernel(game.params, time, law))[who[:, 0], who[:, 1]]
    visits = torch.zeros(len(pairs), len(game.states), dtype=torch.float64)
    ones = torch.ones(DRAWS, dtype=torch.float64)
    visits.index_put_((atom[0], flat_states(game, after)[0]), ones, accumulate=True)
    expected = rows * visits.sum(-1, keepdim=True)
    assert float(visits[rows == 0].sum()) == 0
    error = (visits - expected).abs()
    assert bool((error <= 4 * (expected * (1 - rows)).clamp(min=0).sqrt() + 1).all())


def simulated_laws(game: Subject, agents: int, batch: int, seed: int) -> Tensor:
    """Empirical laws [stages + 1, B, S] of agents that play uniformly over the legal actions."""
    module, stages = game.program.module, min(game.program.horizon or STAGES, STAGES)
    generator = torch.Generator().manual_seed(seed)
    state = module.init(game.params, module.draw_initial(batch, agents, generator))
    chances = game.legal.double()
    laws = []
    for t in range(stages + 1):
        places = flat_states(game, state)
        counts = torch.zeros(batch, len(game.states), dtype=torch.float64)
        laws.append(counts.scatter_add_(1, places, torch.ones_like(places).double()) / agents)
        if t < stages:
            choice = torch.multinomial(chances[places.reshape(-1)], 1, generator=generator).reshape(
                batch, agents
            )
            own, action = agents_at(game, places, choice)
            noise = module.draw_noise(batch, agents, generator)
            state, _ = module.step(game.params, torch.tensor(t), own, action, noise)
    return torch.stack(laws)


def exact_laws(game: Subject, stages: int) -> Tensor:
    """Laws [stages + 1, S] of the limit, by the emitted push."""
    module = game.program.module
    uniform = game.legal.double() / game.legal.sum(-1, keepdim=True)
    laws = [module.initial_law(game.params).reshape(-1)]
    for t in range(stages):
        joint = (laws[-1][:, None] * uniform).reshape(1, *game.shape)
        laws.append(module.push(game.params, torch.tensor(t), joint).reshape(-1))
    return torch.stack(laws)


def distance(laws: Tensor, exact: Tensor) -> float:
    """Root mean square, over games and stages, of the Euclidean distance of the laws."""
    return float((laws - exact[:, None]).square().sum(-1).mean().sqrt())


@pytest.mark.parametrize("name", NAMES)
def test_many_agents_follow_the_exact_flow_at_the_expected_rate(name: str) -> None:
    game = subject(name, **OFF_THE_JUMPS.get(name, {}))
    many = simulated_laws(game, 100_000, 1, seed=4)
    few = simulated_laws(game, 1_000, 20, seed=5)
    exact = exact_laws(game, len(many) - 1)
    noise = float((exact * (1 - exact)).clamp(min=0).sum(-1).mean().sqrt())
    assert distance(many, exact) <= 6 * noise / 100_000**0.5
    assert distance(few, exact) <= 6 * noise / 1_000**0.5
    if noise > 0:  # a game of one state has nothing to spread
        assert 4 <= distance(few, exact) / distance(many, exact) <= 25


@pytest.mark.parametrize("name", NAMES)
def test_the_view_has_the_flow_of_the_emitted_push(name: str) -> None:
    game = subject(name)
    with torch.no_grad():
        view = build_view(game.program)
        laws = view.laws(view.uniform())[0]
    if game.program.kind == "finite":
        assert torch.allclose(laws, exact_laws(game, len(laws) - 1), rtol=0, atol=1e-13)
    else:
        uniform = game.legal.double() / game.legal.sum(-1, keepdim=True)
        joint = (laws[0][:, None] * uniform).reshape(1, *game.shape)
        ahead = game.program.module.push(game.params, torch.tensor(0), joint).reshape(-1)
        assert torch.allclose(laws[0], ahead, rtol=0, atol=1e-10)
