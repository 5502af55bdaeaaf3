from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.types import INT
from mfdsl.compiler.ir.walk import free_leaves, model_roots, reachable
from tests.ir.models import beach_bar, neighbourhood, treasure


def test_a_mean_binds_its_member_and_keeps_own_variables():
    model = neighbourhood()
    leaves = free_leaves(model.nodes)
    close = model.population.lets[0].node
    assert leaves[close].law and not leaves[close].peers
    assert leaves[close].names("state") == {"x"}
    assert leaves[close].parameters == {"wide"}


def test_a_reduction_binds_its_index():
    model = treasure()
    leaves = free_leaves(model.nodes)
    assert all(not leaves[root].depths for root in model_roots(model))
    assert any(leaf.depths for leaf in leaves)


def test_reachable_nodes_come_arguments_first():
    model = beach_bar()
    order = reachable(model.nodes, model_roots(model))
    place = {node: k for k, node in enumerate(order)}
    for node in order:
        assert all(place[i] < place[node] for i in model.nodes[node].args)


def test_deep_expressions_need_no_recursion():
    builder = Builder()
    node = leaf = builder.add("state", attr="x", type=INT)
    for _ in range(20_000):
        node = builder.add("rem", (builder.add("neg", (node,), type=INT), leaf), type=INT)
    assert len(reachable(builder.nodes, [node])) == 40_001
    assert free_leaves(builder.nodes)[node].names("state") == {"x"}
