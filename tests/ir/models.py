"""Small games written node by node, one for each way in which members meet the population."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import (
    ABI,
    Enum,
    Grid,
    Horizon,
    Model,
    Named,
    NoiseVariable,
    Parameter,
    Player,
    StateVariable,
    Term,
    Variable,
)
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type

OPEN = (("up", -1, 0), ("left", 0, -1), ("stay", 0, 0), ("right", 0, 1), ("down", 1, 0))
MOORE = tuple((f"m{r + 1}{c + 1}", r, c) for r in (-1, 0, 1) for c in (-1, 0, 1))


def ring(size: int) -> Type:
    return Type(kind="int", lo=0, hi=size - 1, periodic=True)


def ints(lo: int, hi: int) -> Type:
    return Type(kind="int", lo=lo, hi=hi)


def enum(name: str, count: int) -> Type:
    return Type(kind="enum", lo=0, hi=count - 1, name=name)


@dataclass
class Game:
    """Expression shorthands on a builder, and the lists that make up a model."""

    name: str
    b: Builder = field(default_factory=Builder)
    parameters: list[Parameter] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    states: list[StateVariable] = field(default_factory=list)
    actions: list[Variable] = field(default_factory=list)
    noises: list[NoiseVariable] = field(default_factory=list)
    rewards: list[Term] = field(default_factory=list)
    lets: list[Named] = field(default_factory=list)
    observe: list[Named] = field(default_factory=list)
    legal: int | None = None

    def i(self, value: int, type: Type = INT) -> int:
        return self.b.const(value, type)

    def r(self, value: float | str | Fraction) -> int:
        return self.b.const(Fraction(value), REAL)

    def op(self, name: str, *args: int, attr: object = None, type: Type | None = None) -> int:
        kind = type
        if kind is None:
            comparison = name in ("eq", "ne", "lt", "le", "and", "or", "not", "free", "region")
            kind = BOOL if comparison or name in ("any_over", "all_over") else None
        if kind is None and name in ("ind", "floor", "ceil", "round", "row", "col", "drow"):
            kind = INT
        if kind is None and name in ("dcol", "cell_dist", "path_dist"):
            kind = INT
        if kind is None and name in ("add", "mul", "neg", "abs", "min", "max", "rem", "pow"):
            kind = REAL if self.b.type_of(args[0]).kind == "real" else INT
        if kind is None and name == "if":
            kind = self.b.type_of(args[1])
        if kind is None and name in ("sum_over", "prod_over", "min_over", "max_over"):
            kind = self.b.type_of(args[0])
        return self.b.add(name, args, attr, kind or REAL)

    def real(self, node: int) -> int:
        return self.op("real", node)

    def sub(self, a: int, b: int) -> int:
        return self.op("add", a, self.op("neg", b))

    def wrap(self, node: int, type: Type) -> int:
        return self.b.add("rem", (node, self.i(type.size)), None, type)

    def ind(self, condition: int) -> int:
        return self.real(self.op("ind", condition))

    def prob(self, condition: int, depth: int = 0) -> int:
        return self.op("mean", self.ind(condition), attr=(depth, "member"))

    def mean(self, value: int, depth: int = 0) -> int:
        return self.op("mean", value, attr=(depth, "member"))

    def param(self, name: str, value: float | tuple[float, ...], dims: tuple[int, ...] = ()) -> int:
        type = Type(kind="real", dims=dims)
        self.parameters.append(
            Parameter(
                name=name,
                type=self.b.type_index(type),
                value=value,
                default=value,
                structural=False,
                doc="",
            )
        )
        return self.b.add("param", (), name, type)

    def state(self, name: str, type: Type) -> int:
        self.states.append(
            StateVariable(name=name, type=self.b.type_index(type), doc="", initial=0, next=0)
        )
        return self.b.add("state", (), name, type)

    def evolve(self, name: str, initial: int, next: int) -> None:
        place = [s.name for s in self.states].index(name)
        update = {"initial": initial, "next": next}
        self.states[place] = self.states[place].model_copy(update=update)

    def action(self, name: str, type: Type) -> int:
        self.actions.append(Variable(name=name, type=self.b.type_index(type), doc=""))
        return self.b.add("action", (), name, type)

    def noise(self, name: str, type: Type, density: Callable[[int], int]) -> int:
        leaf = self.b.add("noise", (), name, type)
        self.noises.append(
            NoiseVariable(name=name, type=self.b.type_index(type), doc="", density=density(leaf))
        )
        return leaf

    def peer(self, kind: str, name: str, type: Type, depth: int = 0) -> int:
        return self.b.add(f"peer_{kind}", (), (depth, name), type)

    def index(self, type: Type, depth: int = 0) -> int:
        return self.b.add("index", (), depth, type)

    def reward(self, name: str, node: int, *, final: bool = False) -> None:
        self.rewards.append(Term(name=name, node=node, final=final, doc=""))

    def let(self, name: str, node: int) -> int:
        self.lets.append(Named(name=name, node=node))
        return node

    def chain(self, pairs: Sequence[tuple[int, int]], otherwise: int) -> int:
        """if/else chain of (condition, value)."""
        for condition, value in reversed(pairs):
            otherwise = self.op("if", condition, value, otherwise)
        return otherwise

    def model(self, steps: int | None = 5, discount: float = 1.0) -> Model:
        arena = self.b.freeze()
        return Model(
            abi=ABI,
            features=(),
            name=self.name,
            doc=f"The game {self.name}.",
            parameters=tuple(self.parameters),
            enums=tuple(self.enums),
            grids=tuple(self.grids),
            types=arena.types,
            nodes=arena.nodes,
            places=arena.places,
            graphs=(),
            arrays=arena.arrays,
            players=(
                Player(
                    kind="population",
                    family=None,
                    index=None,
                    traits=(),
                    draws=(),
                    observes_law=(),
                    order=0,
                    name="member",
                    handle="mu",
                    states=tuple(self.states),
                    actions=tuple(self.actions),
                    noises=tuple(self.noises),
                    legal=self.legal,
                    rewards=tuple(self.rewards),
                    lets=tuple(self.lets),
                    observe=tuple(self.observe),
                    agents=None,
                    doc="Exchangeable agents.",
                ),
            ),
            objective="nash",
            horizon=Horizon(
                kind="infinite" if steps is None else "finite",
                steps=steps,
            ),
            discount=discount,
            solver={},
        )


def beach_bar(size: int = 10) -> Model:
    """Mass at the own place, `mu[x]`."""
    g = Game("beach_bar")
    x = g.state("x", ring(size))
    a = g.action("a", ints(-1, 1))
    p_still = g.param("p_still", 0.8)
    eps = g.param("eps", 1e-6)
    half = g.op("div", g.sub(g.r(1), p_still), g.r(2))
    e = g.noise("e", ints(-1, 1), lambda leaf: g.op("if", g.op("eq", leaf, g.i(0)), p_still, half))
    here = g.prob(g.op("eq", g.peer("state", "x", ring(size)), x))
    crowd = g.let("crowd", g.op("log", g.op("add", here, eps)))
    gap = g.op("abs", g.sub(x, g.i(size // 2)))
    distance = g.let("distance", g.op("min", gap, g.sub(g.i(size), gap)))
    g.reward("proximity", g.op("div", g.op("neg", g.real(distance)), g.r(size)))
    g.reward("crowding", g.op("neg", crowd))
    effort = g.op("div", g.op("abs", g.real(a)), g.r(size))
    g.reward("effort", g.op("neg", effort))
    g.evolve("x", g.r(Fraction(1, size)), g.wrap(g.op("add", x, a, e), ring(size)))
    g.observe.append(Named(name="x", node=x))
    g.observe.append(Named(name="here", node=here))
    return g.model()


def sis() -> Model:
    """Chances that depend on the law, a final reward and the joint event of state and action."""
    g = Game("sis")
    health, choice = enum("Health", 2), enum("Choice", 2)
    g.enums.append(Enum(name="Health", values=("S", "I"), doc=""))
    g.enums.append(Enum(name="Choice", values=("out", "home"), doc=""))
    h, a = g.state("h", health), g.action("a", choice)
    beta, nu, cost = g.param("beta", 0.8), g.param("nu", 0.3), g.param("cost", 0.5)
    infected, out = g.i(1, health), g.i(0, choice)
    sick_out = g.op(
        "and",
        g.op("eq", g.peer("state", "h", health), infected),
        g.op("eq", g.peer("action", "a", choice), out),
    )
    exposure = g.let("exposure", g.prob(sick_out))
    risk = g.op("if", g.op("eq", a, out), g.op("mul", beta, exposure), g.r(0))
    chance = g.let("chance", g.op("if", g.op("eq", h, infected), nu, risk))
    flip = g.noise("flip", BOOL, lambda leaf: g.op("if", leaf, chance, g.sub(g.r(1), chance)))
    after = g.op("if", flip, g.op("if", g.op("eq", h, infected), g.i(0, health), infected), h)
    g.evolve("h", g.op("if", g.op("eq", h, infected), g.r("0.1"), g.r("0.9")), after)
    sick = g.op("eq", h, infected)
    g.reward("illness", g.op("neg", g.ind(sick)))
    g.reward("boredom", g.op("neg", g.op("mul", cost, g.ind(g.op("ne", a, out)))))
    share = g.prob(g.op("eq", g.peer("state", "h", health), infected))
    g.reward("end", g.op("neg", g.op("mul", share, g.ind(sick))), final=True)
    return g.model()


def crowd(rows: tuple[str, ...] | None, periodic: bool = False, moore: bool = False) -> Model:
    """A walk on a grid with walls: rows, steps, distances, regions."""
    g = Game("crowd")
    height, width = (len(rows), len(rows[0])) if rows else (4, 5)
    count = sum(c != "#" for row in rows for c in row) if rows else height * width
    grid = Grid(
        name="rooms",
        height=height,
        width=width,
        periodic=periodic,
        rows=rows,
        moves=MOORE if moore else OPEN,
        doc="",
    )
    g.grids.append(grid)
    cell = Type(kind="cell", lo=0, hi=count - 1, name="rooms")
    move = Type(kind="move", lo=0, hi=len(grid.moves) - 1, name="rooms")
    x, a = g.state("x", cell), g.action("a", move)
    slip = g.param("slip", 0.2)
    uniform = g.op("div", slip, g.r(len(grid.moves) - 1))
    stay = g.i(len(grid.moves) // 2, move)
    e = g.noise(
        "e",
        move,
        lambda leaf: g.op("if", g.op("eq", leaf, stay), g.sub(g.r(1), slip), uniform),
    )
    moved = g.op("step", x, a, attr="rooms", type=cell)
    after = g.op("step", moved, e, attr="rooms", type=cell)
    g.evolve("x", g.r(Fraction(1, count)), after)
    here = g.prob(g.op("eq", g.peer("state", "x", cell), x))
    g.reward("crowding", g.op("neg", g.op("log", g.op("add", here, g.r("0.01")))))
    home = g.b.add("cell", (g.i(0), g.i(0)), "rooms", cell)
    g.reward("near", g.op("neg", g.real(g.op("cell_dist", x, home, attr="rooms"))))
    lift = g.op("mul", g.op("drow", a, attr="rooms"), g.op("row", x, attr="rooms"))
    sway = g.op("mul", g.op("dcol", a, attr="rooms"), g.op("col", x, attr="rooms"))
    g.reward("lift", g.op("mul", g.r("0.01"), g.real(g.op("add", lift, sway))))
    g.reward("bump", g.op("neg", g.ind(g.op("not", g.op("free", x, a, attr="rooms")))))
    if rows:
        path = g.op("path_dist", x, attr=("rooms", "E"))
        g.reward("exit", g.op("neg", g.real(path)))
        g.reward("inside", g.ind(g.op("region", x, attr=("rooms", "E"))))
    return g.model()


def random_linear(states: int = 4, actions: int = 3) -> Model:
    """Data arrays as parameters and constants, a draw from a table, time as an index."""
    g = Game("random_linear")
    x, a = g.state("x", ints(0, states - 1)), g.action("a", ints(0, actions - 1))
    weights = [1.0 + ((7 * i) % 5) for i in range(states * actions * states)]
    rows = []
    for k in range(0, len(weights), states):
        total = sum(weights[k : k + states])
        rows += [w / total for w in weights[k : k + states]]
    kernel = g.param("P", tuple(rows), (states, actions, states))
    g.parameters[-1] = g.parameters[-1].model_copy(update={"value": tuple(rows)})
    y = g.noise("x_next", ints(0, states - 1), lambda leaf: g.op("element", kernel, x, a, leaf))
    g.evolve("x", g.op("if", g.op("eq", x, g.i(1)), g.r(1), g.r(0)), y)
    matrix = g.b.array((states, states), [((3 * i) % 7) / 7 for i in range(states * states)])
    i = g.index(ints(0, states - 1), 0)
    q = g.peer("state", "x", ints(0, states - 1), 1)
    body = g.op("mul", g.op("element", matrix, x, i), g.prob(g.op("eq", q, i), 1))
    g.reward("interaction", g.op("neg", g.op("sum_over", body, i, attr=0)))
    bonus = g.op(
        "vector", g.r("0.5"), g.param("late", 2.0), g.r(0), type=Type(kind="real", dims=(3,))
    )
    stage = g.op("min", g.b.add("time", type=INT), g.i(2))
    g.reward("bonus", g.op("element", bonus, stage))
    return g.model(None, 0.9)


def treasure(places: int = 3) -> Model:
    """Nested sums over the joint law, `mu[x = i, a = j]`, and an entropy of the law alone."""
    g = Game("treasure")
    spot, dig = ints(1, places), ints(0, 1)
    x, a = g.state("x", spot), g.action("a", dig)
    i, j = g.index(spot, 0), g.index(dig, 1)
    both = g.op(
        "and",
        g.op("eq", g.peer("state", "x", spot, 2), i),
        g.op("eq", g.peer("action", "a", dig, 2), j),
    )
    mass = g.prob(both, 2)
    far = g.op("add", g.r(1), g.real(g.op("abs", g.sub(x, i))))
    inner = g.op("div", g.op("mul", mass, g.real(g.op("add", j, a))), far)
    outer = g.op("sum_over", g.op("sum_over", inner, j, attr=1), i, attr=0)
    g.reward("search", outer)
    k = g.index(spot, 0)
    alone = g.prob(g.op("eq", g.peer("state", "x", spot, 1), k), 1)
    entropy = g.op("mul", alone, g.op("log", g.op("add", alone, g.r("0.1"))))
    spread = g.let("spread", g.op("sum_over", entropy, k, attr=0))
    g.reward("spread", g.op("neg", spread))
    top = g.op("max_over", alone, k, attr=0)
    some = g.op("any_over", g.op("lt", g.r("0.3"), alone), k, attr=0)
    g.reward("peak", g.op("if", some, top, g.op("mul", g.r(2), top)))
    near = g.op("max", g.sub(x, g.i(1)), g.i(1))
    g.evolve(
        "x",
        g.op("div", g.real(x), g.r(places * (places + 1) // 2)),
        g.op("if", g.op("eq", a, g.i(1)), x, near),
    )
    return g.model()


def neighbourhood(size: int = 6) -> Model:
    """A pairwise term that is no table look-up: the share of members within one step."""
    g = Game("neighbourhood")
    x, a = g.state("x", ring(size)), g.action("a", ints(-1, 1))
    wide = g.param("wide", 1.0)
    q = g.peer("state", "x", ring(size))
    gap = g.op("abs", g.sub(q, x))
    distance = g.op("min", gap, g.sub(g.i(size), gap))
    close = g.let("close", g.prob(g.op("le", g.real(distance), wide)))
    qa = g.peer("action", "a", ints(-1, 1))
    agree = g.op("and", g.op("le", distance, g.i(1)), g.op("eq", qa, a))
    follow = g.op("mean_if", g.real(qa), g.op("le", distance, g.i(2)), attr=(0, "member"))
    g.reward("company", g.op("mul", close, g.prob(agree)))
    g.reward("follow", g.op("mul", g.real(a), follow))
    g.reward("field", g.op("mul", g.r("0.1"), g.mean(g.op("mul", g.real(qa), g.real(q)))))
    alone = g.prob(g.op("eq", q, x))
    g.reward("apart", g.op("mul", close, g.op("neg", alone)), final=True)
    g.evolve("x", g.r(Fraction(1, size)), g.wrap(g.op("add", x, a), ring(size)))
    return g.model()


def drift(size: int = 4) -> Model:
    """Nobody acts: members follow the mean, drawn from a law that starts off the first value."""
    g = Game("drift")
    x = g.state("x", ints(2, size + 1))
    q = g.peer("state", "x", ints(2, size + 1))
    middle = g.let("middle", g.mean(g.real(q)))
    ahead = g.op("lt", g.real(x), middle)
    e = g.noise(
        "e", ints(0, 1), lambda leaf: g.op("if", g.op("eq", leaf, g.i(1)), g.r("0.4"), g.r("0.6"))
    )
    up = g.op("min", g.op("add", x, e), g.i(size + 1))
    g.evolve("x", g.ind(g.op("eq", x, g.i(3))), g.op("if", ahead, up, x))
    g.reward("gap", g.op("neg", g.op("abs", g.sub(g.real(x), middle))))
    return g.model()


def price() -> Model:
    """A price made by the mean action, two states, and mass beyond the end of an axis."""
    g = Game("price")
    stock, brand = ints(0, 4), BOOL
    x, w = g.state("stock", stock), g.state("lambda", brand)
    a = g.action("buy", ints(-1, 1))
    qa = g.peer("action", "buy", ints(-1, 1))
    level = g.let("price", g.op("add", g.r(1), g.op("mul", g.r("0.5"), g.mean(g.real(qa)))))
    up = g.noise("demand", ints(0, 1), lambda leaf: g.r("0.5"))
    keep = g.noise(
        "w_next",
        BOOL,
        lambda leaf: g.op(
            "if",
            g.op("eq", leaf, w),
            g.op("if", g.op("eq", up, g.i(1)), g.r("0.9"), g.r("0.7")),
            g.op("if", g.op("eq", up, g.i(1)), g.r("0.1"), g.r("0.3")),
        ),
    )
    moved = g.op("add", x, a, g.op("neg", up))
    after = g.op("max", g.op("min", moved, g.i(4)), g.i(0))
    richer = g.prob(g.op("eq", g.peer("state", "stock", stock), g.op("add", x, g.i(1))))
    g.reward("trade", g.op("neg", g.op("mul", level, g.real(a))))
    g.reward("envy", g.op("neg", g.op("mul", richer, g.op("if", w, g.r(2), g.r(1)))))
    sold = g.op("if", g.op("lt", g.i(0), x), g.real(up), g.r(0))
    g.reward("sales", g.op("mul", sold, g.op("pow", g.r("0.9"), g.real(g.op("abs", a)))))
    start = g.op("if", g.op("eq", x, g.i(2)), g.r(1), g.r(0))
    g.evolve("stock", start, after)
    late = g.op("if", g.op("eq", x, g.i(2)), g.r("0.25"), g.r("0.5"))
    g.evolve("lambda", g.op("if", w, late, g.sub(g.r(1), late)), keep)
    g.reward("left", g.op("sqrt", g.real(x)), final=True)
    return g.model()


def masked() -> Model:
    """Actions that are legal in some states only, and after some time."""
    g = Game("masked")
    x, a = g.state("x", ints(0, 3)), g.action("a", ints(0, 2))
    t = g.b.add("time", type=INT)
    g.legal = g.op(
        "and", g.op("le", a, x), g.op("or", g.op("lt", t, g.i(3)), g.op("lt", a, g.i(2)))
    )
    g.evolve("x", g.ind(g.op("eq", x, g.i(3))), g.op("max", g.sub(x, a), g.i(0)))
    g.reward("gain", g.real(g.op("mul", a, g.op("rem", t, g.i(2)))))
    return g.model()


WALLS = ("..#E", "..#.", "....")
GAMES: dict[str, Callable[[], Model]] = {
    "beach_bar": beach_bar,
    "sis": sis,
    "crowd_walls": lambda: crowd(WALLS),
    "crowd_open": lambda: crowd(None),
    "crowd_torus": lambda: crowd(None, periodic=True, moore=True),
    "crowd_walled_torus": lambda: crowd(WALLS, periodic=True),
    "random_linear": random_linear,
    "treasure": treasure,
    "neighbourhood": neighbourhood,
    "drift": drift,
    "price": price,
    "masked": masked,
}
