"""Random rewards: interpreter and emitted module agree on expressions nobody thought of."""

import random

import pytest
import torch

from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.types import BOOL, INT, Type
from tests.backend.torch_module import as_law, batched_parameters, load, random_law
from tests.ir.models import Game, enum, ints, ring

X, Y, A, E = ring(4), enum("Colour", 2), ints(-1, 1), BOOL


class Grower:
    """Grows random expressions over all leaves that are in scope."""

    def __init__(self, game: Game, chance: random.Random, c: int, w: int) -> None:
        self.g, self.chance, self.c, self.w = game, chance, c, w
        self.whole = [game.b.add("time", type=INT)]
        self.colours: list[int] = []
        self.flags: list[int] = []

    def integer(self, size: int, depth: int) -> int:
        g, pick = self.g, self.chance
        kind = pick.choice(["leaf", "add", "mul", "abs", "min", "max", "if", "rem", "neg", "round"])
        if size <= 0 or kind == "leaf":
            return pick.choice([*self.whole, g.i(pick.randint(-2, 3))])
        if kind in ("add", "mul", "min", "max"):
            return g.op(kind, self.integer(size - 1, depth), self.integer(size - 2, depth))
        if kind == "if":
            branches = (self.integer(size - 1, depth) for _ in range(2))
            return g.op("if", self.condition(size - 1, depth), *branches, type=INT)
        if kind == "rem":
            return g.op("rem", self.integer(size - 1, depth), g.i(pick.randint(2, 4)), type=INT)
        if kind == "round":
            op = pick.choice(["round", "floor", "ceil"])
            return g.op(op, g.op("mul", g.r("1.7"), g.op("tanh", self.number(size - 1, depth))))
        return g.op(kind, self.integer(size - 1, depth))

    def condition(self, size: int, depth: int) -> int:
        g, pick = self.g, self.chance
        kind = pick.choice(["lt", "le", "eq", "ne", "and", "or", "not", "colour", "flag", "any"])
        if kind == "colour" and len(self.colours) > 1:
            return g.op("eq", *pick.sample(self.colours, 2))
        if kind == "flag" and self.flags:
            return pick.choice(self.flags)
        if kind in ("and", "or") and size > 0:
            return g.op(kind, self.condition(size - 1, depth), self.condition(size - 2, depth))
        if kind == "not" and size > 0:
            return g.op("not", self.condition(size - 1, depth))
        if kind == "any" and size > 0 and depth < 3:
            return self.bound(pick.choice(["any_over", "all_over"]), size, depth)
        op = kind if kind in ("lt", "le", "eq", "ne") else "eq"
        return g.op(op, self.integer(size - 2, depth), self.integer(size - 2, depth))

    def number(self, size: int, depth: int) -> int:
        g, pick = self.g, self.chance
        kinds = ["add", "mul", "if", "tanh", "real", "ind", "div", "mean", "prob", "given", "sum"]
        kind = pick.choice([*kinds, "element", "vector", "param"])
        if size <= 0 or kind == "param":
            return pick.choice([self.c, g.r("0.3"), g.real(pick.choice(self.whole))])
        if kind in ("add", "mul"):
            return g.op(kind, *(self.number(size - 1, depth) for _ in range(pick.randint(2, 3))))
        if kind == "if":
            branches = (self.number(size - 1, depth) for _ in range(2))
            return g.op("if", self.condition(size - 1, depth), *branches)
        if kind == "div":
            below = g.op("add", g.r(2), g.op("abs", self.number(size - 2, depth)))
            return g.op("div", self.number(size - 1, depth), below)
        if kind == "ind":
            return g.ind(self.condition(size - 1, depth))
        if kind in ("mean", "prob", "given") and depth < 3:
            return self.expectation(kind, size, depth)
        if kind == "sum" and depth < 3:
            return self.bound(pick.choice(["sum_over", "max_over", "min_over"]), size, depth)
        if kind == "element":
            clipped = g.op("max", g.op("min", self.integer(size - 1, depth), g.i(3)), g.i(0))
            other = g.op("rem", self.integer(size - 2, depth), g.i(2), type=INT)
            return g.op("element", self.w, clipped, other)
        if kind == "vector":
            items = [self.number(size - 2, depth) for _ in range(2)]
            vector = g.op("vector", *items, type=Type(kind="real", dims=(2,)))
            return g.op("element", vector, g.op("rem", self.integer(size - 2, depth), g.i(2)))
        if kind == "tanh":
            return g.op("tanh", self.number(size - 1, depth))
        return g.real(self.integer(size - 1, depth))

    def expectation(self, kind: str, size: int, depth: int) -> int:
        g, kept = self.g, (list(self.whole), list(self.colours), list(self.flags))
        x = g.peer("state", "x", X, depth)
        y = g.peer("state", "y", Y, depth)
        a = g.peer("action", "a", A, depth)
        pin = g.op("eq", x, self.integer(1, depth))
        same = g.op("eq", a, self.chance.choice(self.whole))
        self.whole += [x, a]
        self.colours.append(y)
        condition = self.condition(size - 1, depth + 1)
        if self.chance.random() < 0.7:
            condition = g.op("and", pin, condition)
        if self.chance.random() < 0.4:
            condition = g.op("and", condition, same)
        value = self.number(size - 1, depth + 1)
        self.whole, self.colours, self.flags = kept
        if kind == "mean":
            return g.mean(value, depth)
        if kind == "prob":
            return g.prob(condition, depth)
        given = g.op("mean_if", value, condition, attr=(depth, "member"))
        return g.op("if", g.op("lt", g.r(0), g.prob(condition, depth)), given, g.r("0.5"))

    def bound(self, op: str, size: int, depth: int) -> int:
        g, kept = self.g, list(self.whole)
        leaf = g.index(ints(-1, 2), depth)
        self.whole.append(leaf)
        over = op in ("any_over", "all_over")
        body = (self.condition if over else self.number)(size - 1, depth + 1)
        self.whole = kept
        return g.op(op, body, leaf, attr=depth)


def random_game(seed: int, noisy: bool = True):
    chance = random.Random(seed)
    g = Game("random")
    x, y, a = g.state("x", X), g.state("y", Y), g.action("a", A)
    e = g.noise("e", E, lambda leaf: g.op("if", leaf, g.r("0.25"), g.r("0.75")))
    c = g.param("c", 0.7)
    w = g.b.array((4, 2), [0.1, -0.4, 1.5, 0.2, -0.9, 0.3, 0.8, -0.2])
    grower = Grower(g, chance, c, w)
    grower.whole += [x, a]
    grower.colours += [y, g.i(0, Y)]
    if chance.random() < 0.5 and noisy:
        grower.flags.append(e)
    g.evolve("x", g.r("0.25"), g.wrap(grower.integer(2, 0), X))
    g.evolve("y", g.r("0.5"), g.op("if", e, y, g.i(1, Y)))
    for k in range(3):
        g.reward(f"r{k}", grower.number(5, 0))
    return g.model()


@pytest.mark.parametrize("seed", range(40))
def test_random_rewards_mean_the_same(seed):
    model = random_game(seed)
    module = load(model)
    p, plain = batched_parameters(model, module)
    m, t = random_law(model, 2, seed), torch.tensor([1, 2])
    emitted = module.reward_terms(p, t, m)
    joint = [(s, a) for s in meaning.joint_states(model) for a in meaning.joint_actions(model)]
    chosen = random.Random(seed).sample(range(len(joint)), 6)
    for k in range(2):
        law = as_law(model, m[k])
        for place in chosen:
            expected = meaning.reward_terms(model, k + 1, law, *joint[place], plain[k])
            for name, table in emitted.items():
                value = float(table.expand(2, *table.shape[1:])[k].flatten()[place])
                assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_agents_see_the_same_random_rewards(seed):
    model = random_game(seed, noisy=False)
    module = load(model)
    p, t = module.default_params(), torch.tensor(1)
    s = module.State(torch.arange(4).repeat(6)[None], torch.arange(24)[None] % 2)
    a = module.Action(torch.arange(24)[None] % 3 - 1)
    noise = module.draw_noise(1, 24, torch.Generator().manual_seed(seed))
    _, reward = module.step(p, t, s, a, noise)
    table = module.rewards(p, t, module.empirical(p, s, a)).expand(1, -1, -1)
    expected = table[0, s.x * 2 + s.y, a.a + 1]
    torch.testing.assert_close(reward, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
