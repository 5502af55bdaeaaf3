"""A game with hidden traits as one of types: its tables at each type, as theorem B needs them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from mfdsl.compiler.analysis.asymmetry.degrees import means_reading
from mfdsl.compiler.analysis.asymmetry.traits import Hidden, hidden_of, hidden_sources, masses
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.slopes.domain import STILL
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Attribute, Model, Node, Parameter, Player
from mfdsl.compiler.ir.walk import reachable
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.naming import free_name, names_in
from mfdsl.compiler.tabular.quadrature import gauss
from mfdsl.compiler.tabular.rebuild import player_roots
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.finite_population.theorem_b import TypedGame
from mfdsl.runtime.program import Params, Program
from mfdsl.validating.blocks import Blocks

Floats = NDArray[np.float64]

MOST_TYPES = 100_000
QUADRATURE = 256  # points of all draws together, at most
MOST_CENTRES = 1024  # cells of all draws together, at most
MOST_ALONG = 64
MOST_ENDS = 8  # draws whose ends are looked at together
LARGEST_TABLE = 10**8


@dataclass(frozen=True)
class Types:
    """Values of the hidden traits by name, [types, ...], and the share of each type, [types].

    Types of share 0 are nobody's but could be somebody's: the ends of continuous draws. `fixed`
    says that files give the players, `note` how a continuous law was put on points. Every player
    has all its continuous draws within `radius` of those of one of the types `centres`.
    `ends` says that all ends of continuous draws are among the types.
    """

    values: dict[str, Floats]
    shares: Floats
    centres: NDArray[np.bool_]
    radius: float = 0.0
    ends: bool = False
    fixed: bool = False
    note: str | None = None


def types_of(model: Model, player: Player, *, near: bool = False) -> Types:
    """The types of a population; with `near` also those of a grid of cells of uniform draws.

    Raises:
        UsageError: there are too many, or their law has no points.
    """
    traits = hidden_of(model, player)
    if not traits:
        return Types({}, np.ones(1), np.ones(1, dtype=bool))
    copies = Copies(facts_of(model))
    try:
        hidden = hidden_sources(copies, player, traits)
        return _types(copies, player, hidden, near)
    except (Unsupported, NoTables) as error:
        raise UsageError(f"the types of `{player.name}` have no list: {error}") from None


def _types(copies: Copies, player: Player, hidden: Hidden, near: bool) -> Types:
    entries = [
        (name, node, entry)
        for name, node in hidden.values.items()
        for entry in np.ndindex(*copies.types[copies.nodes[node].type].dims)
    ]
    finite = tuple(s.leaf for s in hidden.sources if s.law is None)
    roots = [(node, tuple(entry)) for _, node, entry in entries]
    tape = make_tape(copies.facts, roots, also=finite)
    if set(finite) != set(tape.grid):
        raise UsageError(f"the traits of `{player.name}` have too many values")
    weights = masses(copies, hidden, tape.grid).reshape(-1)
    keep = np.flatnonzero(weights > 0)
    points, shares, note, ends = _points(tape, hidden)
    radius, centres = 0.0, np.ones(len(points), dtype=bool)
    if near and note is not None:
        radius, cells = _cells(points.shape[1], MOST_CENTRES // len(keep))
        centres = np.arange(len(points) + len(cells)) >= len(points)
        points = np.concatenate([points, cells])
        shares = np.concatenate([shares, np.zeros(len(cells))])
    if len(keep) * len(points) > MOST_TYPES:
        raise UsageError(f"`{player.name}` has {len(keep) * len(points)} types")
    at = np.indices((len(keep), len(points))).reshape(2, -1).T
    places = np.stack(np.unravel_index(keep, tape.sizes or (1,)), -1)[:, : len(tape.grid)]
    rows = Rows(places[at[:, 0]], points[at[:, 1]], points[at[:, 1]])
    forward = Forward(tape, rows, STILL, None, {})
    values: dict[str, list[Floats]] = {name: [] for name in hidden.values}
    for (name, _, _), step in zip(entries, tape.roots, strict=True):
        found = forward.value(step)
        shape = (len(at), *(1,) * len(tape.inner))
        values[name].append(np.broadcast_to((found.lo + found.hi) / 2, shape).reshape(-1))
    shaped = {
        name: np.stack(columns, -1).reshape(
            len(at), *copies.types[copies.nodes[hidden.values[name]].type].dims
        )
        for name, columns in values.items()
    }
    mass = weights[keep][at[:, 0]] / weights[keep].sum() * shares[at[:, 1]]
    return Types(shaped, mass, centres[at[:, 1]], radius, ends, player.fixed, note)


def _points(tape: Tape, hidden: Hidden) -> tuple[Floats, Floats, str | None, bool]:
    """Points of the draws [points, coordinates] with their shares: Gauss points, and the ends."""
    laws = {s.leaf: s.law for s in hidden.sources}
    axes = [laws[c.node] for c in tape.coordinates]
    if not axes:
        return np.zeros((1, 0)), np.ones(1), None, False
    count = max(2, min(9, int(QUADRATURE ** (1 / len(axes)))))
    rules = [gauss(law, count) for law in axes if law is not None]
    points = np.array(list(product(*(rule[0] for rule in rules))))
    shares = np.array([prod(w) for w in product(*(rule[1] for rule in rules))])
    note = f"{count} Gauss points for each of {len(axes)} continuous draws of traits"
    bounded = all(law == ("uniform",) for law in axes) and len(axes) <= MOST_ENDS
    if bounded:
        ends = np.array(list(product((0.0, 1.0), repeat=len(axes))))
        points = np.concatenate([points, ends])
        shares = np.concatenate([shares, np.zeros(len(ends))])
        note += ", and all their ends"
    return points, shares, note, bounded


def _cells(draws: int, most: int) -> tuple[float, Floats]:
    """Half a side and the centres [centres, draws] of equal cells of the unit cube."""
    count = 1
    while count < MOST_ALONG and (count + 1) ** draws <= most:
        count += 1
    side = (np.arange(count) + 0.5) / count
    return 0.5 / count, np.array(list(product(side, repeat=draws)))


def typed_model(model: Model) -> tuple[Model, dict[str, str]]:
    """The model in which the hidden traits of oneself are parameters, and how those are named.

    Populations share the parameter of a name: each type is looked at on its own.

    Raises:
        UsageError: somebody reads hidden traits of others, or a name means several things.
    """
    hidden = {p.name: {t.name: t for t in hidden_of(model, p)} for p in model.populations}
    traits = {n: t for own in hidden.values() for n, t in own.items()}
    if not traits:
        return model, {}
    for player in model.populations:
        for trait in player.traits:
            if trait.name in traits and hidden[player.name].get(trait.name) is None:
                raise UsageError(f"`{trait.name}` is hidden in one population and seen in another")
            if trait.name in traits and traits[trait.name].type != trait.type:
                raise UsageError(f"`{trait.name}` has several types")
    roots = [n for p in model.players for n in player_roots(p)]
    if any(_reads_traits(model, mean, traits.keys()) for mean in _means(model, roots)):
        raise UsageError("members read hidden traits of the others")
    names: dict[str, str] = {}
    taken = (names_in(model) - set(traits)) | {p.name for p in model.parameters}
    for name in traits:
        names[name] = free_name(name, taken)
        taken |= {names[name]}
    nodes = tuple(
        n.model_copy(update={"op": "param", "attr": names[str(n.attr)]})
        if n.op == "trait" and n.attr in traits
        else n
        for n in model.nodes
    )
    players = tuple(_without(p, nodes, hidden.get(p.name, {})) for p in model.players)
    more = tuple(_parameter(model, names[n], t.type, t.doc) for n, t in traits.items())
    update = {"nodes": nodes, "players": players, "parameters": (*model.parameters, *more)}
    return model.model_copy(update=update), names


def _without(player: Player, nodes: Sequence[Node], hidden: Collection[str]) -> Player:
    """A player without its hidden traits and the draws that only those read."""
    if not hidden:
        return player
    kept = tuple(t for t in player.traits if t.name not in hidden)
    read = player_roots(player.model_copy(update={"traits": kept, "draws": ()}))
    used = {str(nodes[i].attr) for i in reachable(nodes, read) if nodes[i].op == "draw"}
    draws = tuple(d for d in player.draws if d.name in used)
    return player.model_copy(update={"traits": kept, "draws": draws})


def _means(model: Model, roots: list[int]) -> list[int]:
    return sorted({m for r in roots for m in means_reading(model.nodes, r, "peer_trait")})


def _reads_traits(model: Model, mean: int, names: Collection[str]) -> bool:
    below = (model.nodes[i] for i in reachable(model.nodes, model.nodes[mean].args))
    return any(n.op == "peer_trait" and _peer(n.attr) in names for n in below)


def _peer(attr: Attribute) -> str:
    assert isinstance(attr, tuple)
    return str(attr[1])


def _parameter(model: Model, name: str, type_: int, doc: str) -> Parameter:
    kind = model.types[type_]
    low = kind.lo if kind.lo is not None else 0
    value = low if not kind.dims else (float(low),) * prod(kind.dims)
    return Parameter(name=name, type=type_, value=value, default=value, structural=False, doc=doc)


def typed_program(game: Game, types: Sequence[Types]) -> tuple[Program, Params, Blocks]:
    """The tables of the game with the traits of oneself as parameters, a batch over the types of
    all populations, which `types` has in order.

    Raises:
        UsageError: the tables of the types have other states or actions.
    """
    counts = [len(t.shares) for t in types]
    model, names = typed_model(game.model)
    blocks = Blocks(len(types), game.program.state_count, np.repeat(np.arange(len(types)), counts))
    if not names:
        return game.program, game.program.params(), blocks
    typed = Game(replace(game.compilation, model=model), game.parameters, game.bins)
    program = typed.program
    if program.states != game.program.states or program.actions != game.program.actions:
        raise UsageError(f"the tables of the types of `{game.name}` have other states")
    values = {parameter: _column(types, name) for name, parameter in names.items()}
    return program, program.params(values), blocks


def _column(types: Sequence[Types], name: str) -> list[float]:
    """The values of a trait at all types; where they do not have it, one that somebody has."""
    some = next(t.values[name][:1] for t in types if name in t.values)
    parts = [t.values.get(name, np.repeat(some, len(t.shares), axis=0)) for t in types]
    values: list[float] = np.concatenate(parts).tolist()
    return values


def game_of_types(
    program: Program, params: Params, shares: Floats, stages: int, blocks: Blocks | None = None
) -> TypedGame:
    """The tables at each type; a final reward is one more step with the same state after it.

    `shares` [types] are those within the population of each type, which `blocks` tells; without it
    each type is spread over all populations, as in the tables.

    Raises:
        UsageError: legal actions change in time or with the type, or the tables are too large.
    """
    module, count = program.module, len(shares)
    states, actions = program.state_count, program.action_count
    steps = stages + bool(module.HAS_FINAL)
    if count * steps * states**2 * actions > LARGEST_TABLE:
        raise UsageError(f"{count} types with {states} states are too many for a bound")
    if "time" in module.LEGAL_READ:
        raise UsageError("legal actions that change in time have no bound here")
    allowed = module.legal(params, torch.tensor(0)).reshape(-1, states, actions).numpy()
    if (allowed != allowed[:1]).any():
        raise UsageError("legal actions that depend on traits have no bound here")
    axes = (*program.states.values(), *program.actions.values())

    def at(name: str, h: int, joint: Floats, shape: tuple[int, ...]) -> Floats:
        law = torch.from_numpy(np.ascontiguousarray(joint))
        if name == "final_rewards":
            law = law.sum(-1).reshape(1, *program.states.values())
        else:
            law = law.reshape(1, *axes)
        made = getattr(module, name)(params, torch.tensor(h), law)
        return np.broadcast_to(made.reshape(-1, *shape).numpy(), (count, *shape))

    def kernel(h: int, joint: Floats) -> Floats:
        if h == stages:
            stay = np.eye(states)[:, None]
            return np.broadcast_to(stay, (count, states, actions, states))
        return at("kernel", h, joint, (states, actions, states))

    def reward(h: int, joint: Floats) -> Floats:
        if h == stages:
            final = at("final_rewards", h, joint, (states,))
            return np.broadcast_to(final[..., None], (count, states, actions))
        return at("rewards", h, joint, (states, actions))

    start = np.broadcast_to(module.initial_law(params).reshape(-1, states).numpy(), (count, states))
    if blocks is not None and blocks.count > 1:
        who = np.arange(states) // blocks.size
        start = np.where(who == blocks.of_type[:, None], start * blocks.count, 0.0)
    return TypedGame(
        steps=steps,
        initial=start,
        shares=shares / shares.sum(),
        kernel=kernel,
        reward=reward,
        legal=allowed[0].astype(np.float64),
        discount=program.discount,
    )
