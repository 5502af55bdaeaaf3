"""Exchangeable types against the transposition test by trial, and the classes of known graphs."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mfdsl.compiler.analysis.symmetry.orbits import orbits
from mfdsl.compiler.analysis.symmetry.types import (
    advice,
    coded,
    exchangeable,
    exchangeable_types,
    graph_types,
    transposition_classes,
)

GRAPHS: dict[str, tuple[Callable[[], Any], int, list[int]]] = {
    "complete 8": (lambda: networkx.complete_graph(8), 1, [8]),
    "ring 8": (lambda: networkx.cycle_graph(8), 1, [1] * 8),
    "ring 3": (lambda: networkx.cycle_graph(3), 1, [3]),
    "Petersen": (networkx.petersen_graph, 1, [1] * 10),
    "star 8": (lambda: networkx.star_graph(7), 2, [7, 1]),
    "K5,3": (lambda: networkx.complete_bipartite_graph(5, 3), 2, [5, 3]),
    "2 x K3": (
        lambda: networkx.disjoint_union(networkx.complete_graph(3), networkx.complete_graph(3)),
        1,
        [3, 3],
    ),
    "Frucht": (networkx.frucht_graph, 12, [1] * 12),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_have_the_known_classes_and_orbits(name: str) -> None:
    build, count, sizes = GRAPHS[name]
    types = graph_types(build())
    assert list(types.sizes) == sizes
    assert types.orbits == count
    assert types.colours <= count


def test_a_block_model_has_its_blocks_as_types() -> None:
    rng = np.random.default_rng(0)
    blocks = rng.permutation(np.repeat(range(4), [59, 52, 47, 42]))
    strengths = rng.random((4, 4))
    types = exchangeable_types(strengths[np.ix_(blocks, blocks)])
    assert types.sizes == (59, 52, 47, 42)
    assert (types.colours, types.orbits) == (4, 4)
    for members in types.classes:
        assert len(set(blocks[list(members)])) == 1
    assert advice(types) == (
        "4 exchangeable types (59, 52, 47, 42): compile as a 4-population game",
    )


def test_colour_refinement_alone_does_not_call_a_graph_vertex_transitive() -> None:
    frucht = graph_types(networkx.frucht_graph())
    assert frucht.colours == 1
    assert "vertex-transitive" not in advice(frucht)[0]
    codes = coded(networkx.to_numpy_array(networkx.random_regular_graph(3, 60, seed=1)))
    tired = orbits(codes, transposition_classes(codes), budget=200_000)
    assert (tired.colours, tired.count) == (1, None)


def test_advice_says_what_to_compile() -> None:
    said = {name: advice(graph_types(build()))[0] for name, (build, _, _) in GRAPHS.items()}
    assert said["complete 8"] == "all 8 players are exchangeable: compile as one population"
    assert said["ring 8"] == said["Petersen"]
    assert said["ring 8"] == (
        "vertex-transitive but not exchangeable: a graphon or long-range model"
    )
    assert said["star 8"] == "2 exchangeable types (7, 1): compile as a 2-population game"
    assert said["Frucht"].startswith("no two players are exchangeable")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_classes_are_those_of_all_transpositions_tried_one_by_one(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    entries = st.lists(st.integers(0, 1), min_size=2 * count**2, max_size=2 * count**2)
    weights = np.array(data.draw(entries)).reshape(count, count, 2)
    if data.draw(st.booleans()):
        weights = weights[..., :1]
    own = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    codes = coded(weights, own)
    classes = transposition_classes(codes)
    assert sorted(i for members in classes for i in members) == list(range(count))
    place = {i: k for k, members in enumerate(classes) for i in members}
    for i, j in combinations(range(count), 2):
        assert (place[i] == place[j]) == exchangeable(codes, i, j)


@pytest.mark.parametrize("bits", [0, 1])
def test_hashes_that_collide_do_no_harm(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    def poor(places: Any, codes: Any) -> Any:
        return (0 * places + codes).astype(np.uint64) & np.uint64(bits)

    monkeypatch.setattr("mfdsl.compiler.analysis.symmetry.types.hashed", poor)
    monkeypatch.setattr("mfdsl.compiler.analysis.symmetry.orbits.hashed", poor)
    monkeypatch.setattr(
        "mfdsl.compiler.analysis.symmetry.orbits._mixed", lambda v: v & np.uint64(bits)
    )
    rng = np.random.default_rng(bits)
    for _ in range(100):
        count = int(rng.integers(2, 6))
        codes = coded(rng.integers(0, 2, (count, count)), list(rng.integers(0, 2, count)))
        place = {i: k for k, c in enumerate(transposition_classes(codes)) for i in c}
        for i, j in combinations(range(count), 2):
            assert (place[i] == place[j]) == exchangeable(codes, i, j)
    assert graph_types(networkx.path_graph(4)).orbits == 2
    assert graph_types(networkx.path_graph(5)).orbits == 3


def test_links_in_one_direction_and_equal_rows_alone_are_not_exchangeable() -> None:
    one_way = np.zeros((3, 3))
    one_way[0, 1] = 1
    assert exchangeable_types(one_way).sizes == (1, 1, 1)
    assert exchangeable_types(np.ones((3, 3)), ["a", "b", "a"]).classes == ((0, 2), (1,))
    listened_to = np.array([[0.0, 0, 1], [0, 0, 1], [2, 3, 0]])  # equal rows, other columns
    assert exchangeable_types(listened_to).sizes == (1, 1, 1)
    diagonal = np.diag([1.0, 2.0])
    assert exchangeable_types(diagonal).sizes == (1, 1)


def test_attributes_of_nodes_are_parameters() -> None:
    graph = networkx.complete_graph(4)
    graph.nodes[2]["beta"] = 0.3
    assert graph_types(graph).classes == ((0, 1, 3), (2,))


@pytest.mark.parametrize(
    ("weights", "own", "message"),
    [
        (np.zeros((2, 3)), None, "N by N"),
        (np.full((2, 2), np.nan), None, "nan"),
        (np.zeros((2, 2)), [1], "1 parameters for 2 players"),
    ],
)
def test_what_are_no_weights_is_refused(weights: Any, own: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exchangeable_types(weights, own)


def test_several_links_between_two_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="several links"):
        graph_types(networkx.MultiGraph([(0, 1), (0, 1)]))
