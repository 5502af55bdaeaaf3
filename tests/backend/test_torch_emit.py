"""The emitted text itself: deterministic, readable, nothing that the game does not need."""

import ast

import pytest
import torch

import mfdsl
from mfdsl.compiler.backend.names import identifier
from mfdsl.compiler.backend.plan import Plan, make_plan, table_entries
from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.ir.model import Model, Named, Place
from mfdsl.runtime.evaluate import Evaluation, build_view
from tests.backend.torch_module import load, random_law
from tests.ir.models import GAMES, Game, beach_bar, crowd, ints, neighbourhood, treasure


def emitted(model: Model) -> str:
    return emit_torch(model, source_name="game.mfg", digest="abcdef0123456789")


@pytest.mark.parametrize("name", GAMES)
def test_emission_is_the_same_every_time(name):
    assert emitted(GAMES[name]()) == emitted(GAMES[name]())


@pytest.mark.parametrize("name", GAMES)
def test_a_model_read_back_from_json_emits_the_same(name):
    model = GAMES[name]()
    text = model.model_dump_json()
    again = Model.model_validate_json(text)
    assert again.model_dump_json() == text
    assert emitted(again) == emitted(model)


@pytest.mark.parametrize("name", GAMES)
def test_lines_are_short_and_imports_few(name):
    text = emitted(GAMES[name]())
    assert max(map(len, text.splitlines())) <= 100
    imported = {
        node.names[0].name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported == {"torch", "typing"}


@pytest.mark.parametrize("name", GAMES)
def test_every_helper_is_used(name):
    tree = ast.parse(emitted(GAMES[name]()))
    made = {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[0] == "_"}
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert made <= read


def pairwise_entries(plan: Plan) -> int:
    """Entries of the largest table over pairs of own values and values of another member."""
    return max((table_entries(plan, s) for s in plan.statistics if s.residual), default=0)


def test_mass_at_a_place_is_one_look_up():
    plan = make_plan(beach_bar())
    assert pairwise_entries(plan) == 0
    assert plan.statistics[0].value is None


def test_joint_mass_in_nested_sums_is_one_look_up():
    plan = make_plan(treasure())
    assert pairwise_entries(plan) == 0
    assert ("x", "a") in plan.running.marginals


def test_pairwise_terms_are_counted():
    assert pairwise_entries(make_plan(neighbourhood(6))) == 6 * 6 * 3


def test_lines_of_the_spec_are_noted():
    model = beach_bar()
    places = tuple(Place(file="bar.mfg", start=i, end=i + 1) for i in range(len(model.nodes)))
    model = model.model_copy(update={"places": places})
    text = emit_torch(
        model, source_name="bar.mfg", digest="0" * 64, line_of=lambda place: place.start + 1
    )
    following = model.population.states[0].next
    assert f"# :{following + 1}\n" in text


def test_large_open_grids_emit_short_text():
    model = crowd(None)
    grid = model.grids[0].model_copy(update={"height": 500, "width": 500})
    types = tuple(
        t.model_copy(update={"hi": 249_999}) if t.kind == "cell" else t for t in model.types
    )
    text = emitted(model.model_copy(update={"grids": (grid,), "types": types}))
    assert len(text) < 20_000


def test_hostile_names_and_docs_stay_data():
    model = beach_bar()
    population = model.population.model_copy(
        update={
            "doc": "x",
            "lets": tuple(
                Named(name=name, node=let.node)
                for name, let in zip(("lambda", "μ"), model.population.lets, strict=False)
            ),
        }
    )
    doc = 'Ends in a quote " and """ and \\'
    module = load(model.model_copy(update={"doc": doc, "population": population}))
    assert module.__doc__.strip() == doc


@pytest.mark.parametrize(
    "name,plain", [("lambda", "lambda"), ("μ", "mu"), ("Δx", "deltax"), ("x'", "x_"), ("2", "v2")]
)
def test_names_become_plain_ascii(name, plain):
    assert identifier(name) == plain


def test_marginals_whose_names_run_together_stay_apart():
    game = mfdsl.load(
        text="""
        model joined
        horizon 2
        objective nash
        population people {
          state x : bool ~ mix { 0.25 -> true, else -> false }
          state y_z : bool ~ mix { 0.5 -> true, else -> false }
          state x_y : bool ~ mix { 0.125 -> true, else -> false }
          state z : bool ~ mix { 0.5 -> true, else -> false }
          action go : bool
          x' = x or go
          y_z' = y_z
          x_y' = x_y
          z' = z
          reward first = prob(q.x and q.y_z for q in people)
          reward second = 100 * prob(q.x_y and q.z for q in people)
        }
        """
    )
    view = build_view(game.program)
    value = Evaluation(view, view.uniform()).value.item()
    assert value == pytest.approx(0.125 + 0.3125 + 2 * 6.25)


def test_deep_sums_of_members_need_no_recursion():
    g = Game("deep")
    x = g.state("x", ints(0, 2))
    value = member = g.real(g.peer("state", "x", ints(0, 2)))
    for _ in range(3000):
        value = g.op("neg", g.op("add", value, g.real(x), g.op("tanh", member)))
    g.evolve("x", g.r("0.5"), x)
    g.reward("deep", g.mean(value))
    model = g.model()
    module = load(model)
    m = random_law(model, 1)
    table = module.rewards(module.default_params(), torch.tensor(0), m)
    members = torch.arange(3).double()
    expected = m[0] @ (members - 0.0)
    torch.testing.assert_close(table[0, :, 0], expected.expand(3), rtol=1e-9, atol=1e-9)
