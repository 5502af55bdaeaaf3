"""Agents and tables of an emitted module are two views of one game."""

import pytest
import torch

from tests.backend.torch_module import (
    agents,
    batched_parameters,
    flat,
    load,
    random_law,
    shapes,
)
from tests.ir.models import GAMES

DRAWS = 100_000
NOISY_REWARDS = {"price"}


@pytest.fixture(params=GAMES, scope="module")
def game(request):
    model = GAMES[request.param]()
    return model, load(model)


def uniforms(model, module, batch, count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return module.draw_noise(batch, count, generator)


def within_five_errors(counts, chances):
    """Binomial counts against their chances, five standard errors."""
    total = counts.sum(-1, keepdim=True)
    error = (chances * (1 - chances) / total).sqrt()
    return bool(((counts / total - chances).abs() <= 5 * error + 1e-9).all())


def test_successors_and_weights_rebuild_the_kernel(game):
    model, module = game
    p, _ = batched_parameters(model, module)
    m, t = random_law(model, 2), torch.tensor([0, 3])
    f = module.field(p, t, m)
    to, chance = torch.broadcast_tensors(module.successors(p, t, f), module.weights(p, t, f))
    states = torch.tensor(shapes(model)[0]).prod()
    rebuilt = (torch.nn.functional.one_hot(to, int(states)) * chance[..., None]).sum(3)
    kernel = module.kernel(p, t, m)
    torch.testing.assert_close(rebuilt, kernel.reshape(rebuilt.shape), rtol=0, atol=1e-14)
    torch.testing.assert_close(rebuilt.sum(-1), torch.ones_like(rebuilt[..., 0]))


def test_steps_occur_as_often_as_the_kernel_says(game):
    model, module = game
    p, t = module.default_params(), torch.tensor(1)
    s, a = agents(model, module, 1, DRAWS)
    after, _ = module.step(p, t, s, a, uniforms(model, module, 1, DRAWS))
    population = model.population
    here = flat(model, [*population.states, *population.actions], [*s, *a])
    there = flat(model, population.states, after)
    rows, columns = int(here.max()) + 1, int(torch.tensor(shapes(model)[0]).prod())
    counts = torch.zeros(rows, columns, dtype=torch.float64)
    counts.index_put_((here[0], there[0]), torch.ones(DRAWS, dtype=torch.float64), accumulate=True)
    kernel = module.kernel(p, t, module.empirical(p, s, a)).reshape(rows, columns)
    assert within_five_errors(counts, kernel)


def test_rewards_of_agents_are_those_of_their_state_and_action(game):
    model, module = game
    p, t = module.default_params(), torch.tensor(1)
    s, a = agents(model, module, 1, 2000)
    _, reward = module.step(p, t, s, a, uniforms(model, module, 1, 2000))
    population = model.population
    here = flat(model, [*population.states, *population.actions], [*s, *a])
    expected = module.rewards(p, t, module.empirical(p, s, a)).flatten(1).expand(1, -1)
    if model.name in NOISY_REWARDS:
        assert abs(float((reward - expected[0, here]).mean())) < 0.1
    else:
        torch.testing.assert_close(reward, expected[0, here], rtol=1e-12, atol=1e-12)


def test_initial_states_occur_as_often_as_the_initial_law_says(game):
    model, module = game
    p, _ = batched_parameters(model, module)
    z = module.draw_initial(2, DRAWS, torch.Generator().manual_seed(3))
    s = module.init(p, z)
    law = module.initial_law(p).flatten(1).expand(2, -1)
    here = flat(model, model.population.states, s).expand(2, -1)
    counts = torch.zeros_like(law).scatter_add(1, here, torch.ones(2, DRAWS).double())
    assert within_five_errors(counts, law)


def test_statistics_of_agents_are_those_of_their_empirical_law(game):
    model, module = game
    p, _ = batched_parameters(model, module)
    t = torch.tensor([0, 3])
    s, a = agents(model, module, 2, 50)
    from_law = module.field(p, t, module.empirical(p, s, a))
    from_agents = module.field_of_agents(p, t, s, a)
    for one, other in zip(from_law, from_agents, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_permuting_agents_permutes_the_outcome(game):
    model, module = game
    p, _ = batched_parameters(model, module)
    t = torch.tensor([0, 3])
    s, a = agents(model, module, 2, 40)
    z = uniforms(model, module, 2, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(5))
    shuffled = [type(x)(*(v[:, order] for v in x)) for x in (s, a, z)]
    after, reward = module.step(p, t, s, a, z)
    after_shuffled, reward_shuffled = module.step(p, t, *shuffled)
    assert torch.equal(reward[:, order], reward_shuffled)
    for one, other in zip(after, after_shuffled, strict=True):
        assert torch.equal(one[:, order], other)


def test_next_values_stay_in_their_types(game):
    model, module = game
    p, t = module.default_params(), torch.tensor(2)
    s, a = agents(model, module, 1, 500)
    for u in (0.0, 1 - 2**-53):
        z = uniforms(model, module, 1, 500)
        z = type(z)(*(torch.full_like(v, u) for v in z))
        after, _ = module.step(p, t, s, a, z)
        for variable, value in zip(model.population.states, after, strict=True):
            type_ = model.types[variable.type]
            assert value.dtype == torch.int64
            assert value.shape == s[0].shape
            assert type_.first <= int(value.min()) <= int(value.max()) < type_.first + type_.size


def test_dtype_follows_the_parameters(game):
    model, module = game
    p = module.default_params(dtype=torch.float32)
    t = torch.tensor(1)
    m = random_law(model, 1).float()
    assert module.rewards(p, t, m).dtype == torch.float32
    assert module.kernel(p, t, m).dtype == torch.float32
    assert module.initial_law(p).dtype == torch.float32
    s, a = agents(model, module, 1, 10)
    noise = module.draw_noise(1, 10, dtype=torch.float32)
    assert module.step(p, t, s, a, noise)[1].dtype == torch.float32


@pytest.mark.parametrize("name", ["random_linear", "neighbourhood"])
def test_the_compiler_traces_the_whole_graph(name):
    model = GAMES[name]()
    module = load(model)
    p, t = module.default_params(), torch.tensor(1)
    s, a = agents(model, module, 2, 7)
    z = uniforms(model, module, 2, 7)
    m = random_law(model, 2)
    for function, arguments in (
        (module.step, (p, t, s, a, z)),
        (module.push, (p, t, m)),
        (module.rewards, (p, t, m)),
    ):
        traced = torch.compile(function, fullgraph=True, backend="aot_eager")
        eager = function(*arguments)
        torch.testing.assert_close(traced(*arguments), eager, rtol=1e-12, atol=1e-12)
