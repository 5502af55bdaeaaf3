"""One population at given common values, and what its surroundings do there, as a tabular model.

Common states, common noises and actions of majors are parameters. The rewards are numbers to look
at, which may read the law of the population: what each major is paid, the probability of the
common noises, and where the common states go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Node, Parameter, Term
from mfdsl.compiler.ir.types import INT, REAL, Type
from mfdsl.compiler.ir.walk import given, reachable
from mfdsl.compiler.tabular.common import common_name
from mfdsl.compiler.tabular.copying import VARIABLES, Copier
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, owner
from mfdsl.compiler.tabular.naming import free_name, names_in
from mfdsl.compiler.tabular.rebuild import copied, player_roots, rebuilt

Variable = tuple[str, str, str]  # player, sort (state, noise or action) and name

OWN, CHANCE = "own", "chance"


@dataclass(frozen=True)
class Observed:
    """`names` maps common variables to parameters of `model`, whose rewards are named `own`,
    `chance`, `pay_<major>`, and `next_<k>` for the place of common state k of `states`.
    """

    model: Model
    names: dict[Variable, str]
    states: tuple[Variable, ...]
    noises: tuple[Variable, ...]
    actions: tuple[Variable, ...]
    kinds: dict[Variable, Type]
    major: str | None


def observed(model: Model) -> Observed:
    """The model of a population whose surroundings are finite.

    Raises:
        NoTables: what is there besides is not one population with at most one major; the
            population reads common noise, or laws of actions; actions are masked; or something is
            paid at the end.
    """
    _check(model)
    return _Observing(model).observed()


def _check(model: Model) -> None:
    majors = [p for p in model.players if p.kind == "major"]
    if len(model.populations) != 1 or len(majors) > 1 or len(model.players) < 2:
        raise NoTables("a grid of laws is for one population beside one major, or an environment")
    if any(p.legal is not None for p in model.players):
        raise NoTables("some of its actions are masked")
    if any(term.final for p in model.players for term in p.rewards):
        raise NoTables("somebody is paid at the end")
    if any(p.rewards for p in model.players if p.kind == "environment"):
        raise NoTables("an environment is paid")
    everything = reachable(model.nodes, [n for p in model.players for n in player_roots(p)])
    if any(model.nodes[i].op == "peer_action" for i in everything):
        raise NoTables("it reads the law of actions, and the grid has laws of states")
    own = reachable(model.nodes, player_roots(model.population))
    if any(model.nodes[i].op == "common_noise" for i in own):
        raise NoTables("members read common noise themselves")


class _Observing:
    def __init__(self, model: Model) -> None:
        self.model, self.builder = model, Builder()
        self.around = [p for p in model.players if p.kind != "population"]
        self.copier = Copier(model, self.builder, self._leaf)
        self.taken = set(names_in(model)) | {p.name for p in model.parameters}
        self.names: dict[Variable, str] = {}
        self.kinds: dict[Variable, Type] = {}

    def observed(self) -> Observed:
        states = tuple(self._variables("state"))
        noises = tuple(self._variables("noise"))
        actions = tuple(self._variables("action"))
        population = copied(self.model, self.model.population, self.copier)
        terms = [self._term(OWN, [t.node for t in population.rewards])]
        majors = [p for p in self.around if p.kind == "major"]
        for major in majors:
            frame = Frame(major.name)
            paid = [self.copier.scalar(t.node, frame) for t in major.rewards]
            terms.append(self._term(f"pay_{major.name}", paid))
        terms.append(self._chance())
        places = [self._next(k, v) for k, v in enumerate(states)]
        player = population.model_copy(
            update={
                "rewards": (*terms, *places),
                "lets": (),
                "observe": (),
                "observes_law": (),
                "agents": None,
            }
        )
        more = tuple(self._parameter(v) for v in (*states, *noises, *actions))
        made = rebuilt(self.model, self.builder, [player])
        made = made.model_copy(update={"parameters": (*made.parameters, *more)})
        name = majors[0].name if majors else None
        return Observed(made, self.names, states, noises, actions, self.kinds, name)

    def _variables(self, sort: str) -> Iterable[Variable]:
        for player in self.around:
            group = {"state": player.states, "noise": player.noises, "action": player.actions}
            for variable in group[sort]:
                key = (player.name, sort, variable.name)
                name = free_name(common_name(player.name, variable.name), self.taken)
                self.taken.add(name)
                self.names[key], self.kinds[key] = name, self.model.types[variable.type]
                yield key

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """A parameter in the place of a common variable."""
        sort = node.op.removeprefix("common_")
        if sort not in VARIABLES or node.op.startswith("peer_"):
            return None
        player, name = owner(self.model, frame, node.op, node.attr)
        key = (player.name, sort, name)
        if key not in self.names:
            return None
        return self.builder.add("param", (), self.names[key], self.kinds[key])

    def _term(self, name: str, nodes: list[int]) -> Term:
        whole = nodes[0] if len(nodes) == 1 else self.copier.op("add", *nodes) if nodes else None
        node = self.builder.const(0.0) if whole is None else whole
        return Term(name=name, node=node, final=False, doc="")

    def _chance(self) -> Term:
        """The product of the densities of all common noises."""
        parts = [
            self.copier.scalar(given(noise.density), Frame(player.name))
            for player in self.around
            for noise in player.noises
        ]
        if not parts:
            return self._term(CHANCE, [self.builder.const(1.0)])
        whole = parts[0] if len(parts) == 1 else self.copier.op("mul", *parts)
        return self._term(CHANCE, [whole])

    def _next(self, k: int, variable: Variable) -> Term:
        """The place of the next value among those of a common state."""
        player = self.model.player(variable[0])
        state = next(s for s in player.states if s.name == variable[2])
        value = self.copier.scalar(given(state.next), Frame(player.name))
        kind = self.kinds[variable]
        if kind.kind == "bool":
            place = self.copier.op("ind", value, type=INT)
        else:
            place = self.copier.op("add", value, self.builder.const(-kind.first, INT), type=INT)
        return self._term(f"next_{k}", [self.copier.op("real", place, type=REAL)])

    def _parameter(self, variable: Variable) -> Parameter:
        kind = self.kinds[variable]
        return Parameter(
            name=self.names[variable],
            type=self.builder.type_index(kind),
            value=kind.first,
            default=kind.first,
            structural=False,
            doc="",
        )
