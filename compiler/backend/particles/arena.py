"""The arena of a module of agents: nodes over inputs, and what each of them depends on.

Leaves are `input` (letter, player, name, whether it belongs to agents), `peer` (a value of each
member as that of the member bound at a depth), parameters, `t`, indices and arrays. Statistics of
a population are `mean_of`, `sum_of`, `min_of`, `max_of`, `tally` and `w2`; `pairs` goes over all
pairs of agents. `given` is the row of each agent in the files of its population. `weight` is the
weight of an agent on the member bound at a depth, `weighted_of` the weighted sum of a value of the
members, `weight_sum` that of 1, `own_weight` the weight of each agent on itself.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mfdsl.compiler.backend.bounds import Range, bounds_of
from mfdsl.compiler.ir.build import MAX_NODES, Builder
from mfdsl.compiler.ir.model import Attribute, Node, Place
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.ir.walk import reachable

OTHERS = ("min_others_of", "max_others_of", "weighted_of")  # differ between agents
OVER_MEMBERS = ("mean_of", "sum_of", "min_of", "max_of")
STATISTICS = (*OVER_MEMBERS, "tally", "w2")
FIRST_FRESH = 1000
MOST_NODES = 4 * MAX_NODES  # components of vectors and short sums are written out


@dataclass(frozen=True)
class Facts:
    """What a node depends on: the population whose agents it differs between (`owner`), members
    bound further out by depth (`peers`), and indices by depth.
    """

    owner: str | None = None
    peers: frozenset[int] = frozenset()
    indices: frozenset[int] = frozenset()

    @property
    def common(self) -> bool:
        """Whether it is the same for all agents."""
        return self.owner is None and not self.peers


@dataclass
class Arena:
    """A growing arena; `names` and `places` of nodes are for readable output, `uniforms` are the
    inputs that finite draws compare with. `means` has the node of the model, a mean or an extreme,
    that a `pairs` node computes.
    """

    builder: Builder = field(default_factory=lambda: Builder(MOST_NODES))
    names: dict[int, str] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)
    uniforms: set[int] = field(default_factory=set)
    means: dict[int, int] = field(default_factory=dict)
    _facts: list[Facts] = field(default_factory=list)
    _bounds: list[Range] = field(default_factory=list)
    _fresh: int = FIRST_FRESH
    _places: dict[int, list[int]] = field(default_factory=dict)

    def add(
        self, op: str, args: Sequence[int] = (), attr: Attribute = None, type: Type = REAL
    ) -> int:
        """The node of `op` applied to `args`. A product with 0 is 0: weights are finite."""
        if op == "mul" and not type.dims and any(self.builder.exact(i) == 0 for i in args):
            return self.const(0, type)
        return self.builder.add(op, args, attr, type)

    def const(self, value: int | float, type: Type = REAL) -> int:
        """A constant."""
        return self.builder.const(value, type)

    def index(self, type: Type) -> int:
        """A fresh index over the values of a finite type."""
        self._fresh += 1
        return self.add("index", (), self._fresh, type)

    def place_index(self, size: int, taken: Collection[Attribute] = ()) -> int:
        """An index over the places of an axis; the same one again unless it is `taken`."""
        known = self._places.setdefault(size, [])
        found = next((i for i in known if self.node(i).attr not in taken), None)
        if found is None:
            found = self.index(Type(kind="int", lo=0, hi=size - 1))
            known.append(found)
        return found

    def node(self, index: int) -> Node:
        """A node."""
        return self.builder.nodes[index]

    def type_of(self, index: int) -> Type:
        """The type of a node."""
        return self.builder.type_of(index)

    def facts(self, index: int) -> Facts:
        """What a node depends on."""
        for node in self.builder.nodes[len(self._facts) :]:
            self._facts.append(_facts(node, [self._facts[i] for i in node.args]))
        return self._facts[index]

    def bounds(self, index: int) -> Range:
        """Bounds of a node; only those of integers are of use."""
        for k in range(len(self._bounds), len(self.builder.nodes)):
            here = self.builder.nodes[k]
            parts = [self._bounds[i] for i in here.args]
            self._bounds.append(bounds_of(here, self.type_of(k), parts))
        return self._bounds[index]

    def varies(self, index: int, depth: int) -> bool:
        """Whether a node depends on the member bound at a depth."""
        return depth in self.facts(index).peers

    def closed(self, index: int, depth: int) -> bool:
        """Whether a node depends on that member and on no other agent."""
        facts = self.facts(index)
        return facts.owner is None and facts.peers == {depth}

    def member(self, index: int, depth: int) -> int:
        """The value that a node has for a member as such, in the place of the one bound."""
        nodes = self.builder.nodes
        own = {
            i: nodes[i].args[0]
            for i in reachable(nodes, [index])
            if nodes[i].op == "peer" and nodes[i].attr == depth
        }
        return self.replace(index, own)

    def replace(self, root: int, values: Mapping[int, int]) -> int:
        """The node with others in the place of some below it.

        What a statistic reads of its own members is bound by it, so that only values of members
        bound further out and indices are replaced there.
        """
        nodes = self.builder.nodes
        peers = {
            old: new
            for old, new in values.items()
            if nodes[old].op == "peer" or (nodes[old].op == "index" and self.facts(new).common)
        }
        known = dict(values)
        for i in reachable(nodes, [root]):
            if i in values:
                continue
            node = nodes[i]
            if node.op in (*STATISTICS, *OTHERS) and len(peers) < len(values):
                known[i] = self.replace(i, peers) if peers else i
                continue
            args = [known[a] for a in node.args]
            known[i] = self._like(i, args)
        return known[root]

    def rebuilt(self, root: int, rule: Callable[[int], int | None]) -> int:
        """The node with what `rule` gives, if anything, in the place of each node below it."""
        known: dict[int, int] = {}
        for i in reachable(self.builder.nodes, [root]):
            made = self._like(i, [known[a] for a in self.builder.nodes[i].args])
            other = rule(made)
            known[i] = made if other is None else self._named(i, other)
        return known[root]

    def _like(self, index: int, args: Sequence[int]) -> int:
        """The node with other arguments."""
        node = self.builder.nodes[index]
        if tuple(args) == node.args:
            return index
        return self._named(index, self.add(node.op, args, node.attr, self.type_of(index)))

    def _named(self, old: int, new: int) -> int:
        """The node under the name of the one that it stands for, unless it has its own."""
        if old in self.names:
            self.names.setdefault(new, self.names[old])
        if old in self.places:
            self.places.setdefault(new, self.places[old])
        if old in self.means:
            self.means.setdefault(new, self.means[old])
        return new


def _facts(node: Node, parts: Sequence[Facts]) -> Facts:
    attr = node.attr
    if node.op == "input":
        assert isinstance(attr, tuple)
        return Facts(str(attr[1]) if attr[3] else None)
    if node.op == "index":
        assert isinstance(attr, int)
        return Facts(indices=frozenset({attr}))
    if node.op in ("given", "weight_sum", "own_weight"):
        assert isinstance(attr, tuple)
        return Facts(str(attr[0]))
    if node.op == "weight":
        assert isinstance(attr, tuple)
        return Facts(str(attr[1]), frozenset({int(attr[0])}))
    owner = next((p.owner for p in parts if p.owner is not None), None)
    peers = frozenset[int]().union(*(p.peers for p in parts))
    indices = frozenset[int]().union(*(p.indices for p in parts))
    if node.op == "peer":
        assert isinstance(attr, int)
        return Facts(None, peers | {attr}, indices)
    if node.op in STATISTICS:
        return Facts(None, peers, indices)
    if node.op == "pairs":
        assert isinstance(attr, tuple)
        return Facts(str(attr[1]) if attr[3] else owner, peers - {int(attr[0])}, indices)
    if node.op in OTHERS:
        population = attr[0] if isinstance(attr, tuple) else attr
        return Facts(str(population), peers, indices)
    if node.op.endswith("_over") or node.op == "search":
        assert isinstance(attr, int)
        return Facts(owner, peers, indices - {attr})
    return Facts(owner, peers, indices)
