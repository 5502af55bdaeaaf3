"""The emitted module means what the interpreter says, entry by entry."""

import pytest
import torch

from mfdsl.compiler.ir import meaning
from tests.backend.torch_module import as_law, batched_parameters, load, random_law, shapes
from tests.ir.models import GAMES

TIMES = (0, 3)


@pytest.fixture(params=GAMES, scope="module")
def game(request):
    model = GAMES[request.param]()
    module = load(model)
    p, plain = batched_parameters(model, module)
    m = random_law(model, 2)
    laws = [as_law(model, m[k]) for k in range(2)]
    return model, module, p, plain, torch.tensor(TIMES), m, laws


def close(emitted, expected):
    torch.testing.assert_close(emitted, expected, rtol=1e-12, atol=1e-12)


def each(model):
    return [(s, a) for s in meaning.joint_states(model) for a in meaning.joint_actions(model)]


def full(table, count):
    return table.expand(count, *table.shape[1:])


def test_initial_law(game):
    model, module, p, plain, *_ = game
    expected = [list(meaning.initial_law(model, plain[k]).values()) for k in range(2)]
    close(full(module.initial_law(p), 2).flatten(1), torch.tensor(expected, dtype=torch.float64))


def test_kernel(game):
    model, module, p, plain, t, m, laws = game
    states = meaning.joint_states(model)
    expected = torch.zeros(2, len(each(model)), len(states), dtype=torch.float64)
    for k in range(2):
        for row, (s, a) in enumerate(each(model)):
            for after, mass in meaning.kernel_row(model, TIMES[k], laws[k], s, a, plain[k]).items():
                expected[k, row, states.index(after)] += mass
    emitted = full(module.kernel(p, t, m), 2).reshape(2, len(each(model)), len(states))
    close(emitted, expected)


def test_push(game):
    model, module, p, plain, t, m, laws = game
    expected = [list(meaning.push(model, TIMES[k], laws[k], plain[k]).values()) for k in range(2)]
    close(module.push(p, t, m).flatten(1), torch.tensor(expected, dtype=torch.float64))


def test_rewards_and_their_terms(game):
    model, module, p, plain, t, m, laws = game
    terms = [
        [meaning.reward_terms(model, TIMES[k], laws[k], s, a, plain[k]) for s, a in each(model)]
        for k in range(2)
    ]
    emitted = module.reward_terms(p, t, m)
    for name, table in emitted.items():
        expected = [[row[name] for row in batch] for batch in terms]
        close(full(table, 2).flatten(1), torch.tensor(expected, dtype=torch.float64))
    total = [[sum(row.values()) for row in batch] for batch in terms]
    expected = torch.tensor(total, dtype=torch.float64)
    close(full(module.rewards(p, t, m), 2).flatten(1), expected)


def test_final_rewards(game):
    model, module, p, plain, _, m, _ = game
    states, actions = shapes(model)
    law = m.flatten(1 + len(states)).sum(-1) if actions else m
    rows = []
    for k in range(2):
        joint = meaning.joint_states(model)
        plain_law = dict(zip(joint, law[k].flatten().tolist(), strict=True))
        rows.append([meaning.final_reward(model, 9, plain_law, s, plain[k]) for s in joint])
    emitted = module.final_rewards(p, torch.tensor(9), law)
    close(full(emitted, 2), torch.tensor(rows, dtype=torch.float64))


def test_legal(game):
    model, module, p, plain, t, *_ = game
    states, actions = meaning.joint_states(model), meaning.joint_actions(model)
    expected = [
        [[meaning.legal(model, TIMES[k], s, a, plain[k]) for a in actions] for s in states]
        for k in range(2)
    ]
    assert torch.equal(full(module.legal(p, t), 2), torch.tensor(expected))


def test_unbatched_parameters_and_time_give_the_same(game):
    _, module, *_, m, _ = game
    p, t = module.default_params(), torch.tensor(1)
    single = module.push(p, t, m[:1])
    close(single, module.push(p, t, m)[:1])
    assert module.rewards(p, t, m[:1]).shape[1:] == module.rewards(p, t, m).shape[1:]
