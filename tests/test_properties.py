"""Properties of random specs: layout keeps the tree, nothing is raised, enclosures enclose."""

import dataclasses
import math
import random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.interpret import Environment, Law, evaluate
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.render import render_text
from mfdsl.compiler.sema.domains import enclosure
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.format import format_source
from mfdsl.compiler.syntax.parse import parse
from tests.strategies import models, sources

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def bounded(examples: int) -> settings:
    """The same examples in every run; a failure is shown as found, shrinking takes minutes."""
    return settings(
        phases=[Phase.explicit, Phase.generate],
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=SLOW,
    )


def tree(value: Any) -> Any:
    """A syntax tree without its places."""
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value)]
        kept = [name for name in fields if name not in ("span", "row_spans", "file")]
        return (type(value).__name__, *(tree(getattr(value, name)) for name in kept))
    return tuple(tree(item) for item in value) if isinstance(value, tuple) else value


def parsed(text: str) -> Any:
    sink = Sink()
    unit = parse(SourceFile("spec.mfg", text), sink)
    assert not sink.failed, render_text(sink.sorted(), {"spec.mfg": SourceFile("spec.mfg", text)})
    return tree(unit)


@bounded(150)
@given(sources())
def test_formatting_keeps_the_tree_and_is_done_once(text: str) -> None:
    formatted = format_source(text)
    assert parsed(formatted) == parsed(text)
    assert format_source(formatted) == formatted


@bounded(100)
@given(sources())
def test_any_text_that_parses_is_compiled_or_diagnosed(text: str) -> None:
    compilation = compile_text(text)
    assert compilation.ok == (compilation.model is not None)
    for diagnostic in compilation.diagnostics:
        assert diagnostic.primary is not None
    render_text(compilation.diagnostics, compilation.sources)


@bounded(60)
@given(st.text(max_size=80), st.integers(0, 400))
def test_text_dropped_into_a_spec_never_raises(noise: str, at: int) -> None:
    spec = "model m\nobjective nash\nhorizon 2\npopulation p as mu {\n  state x : bool = true\n"
    spec += "  action a : bool\n  x' = a\n  cost c = mu[x] # end\n}\n"
    compilation = compile_text(spec[:at] + noise + spec[at:])
    render_text(compilation.diagnostics, compilation.sources)


def random_law(model: Model, generator: random.Random) -> Law:
    """A law of states and actions; half of them give no mass to most pairs."""
    pairs = [(s, a) for s in meaning.joint_states(model) for a in meaning.joint_actions(model)]
    if generator.random() < 0.5:
        pairs = generator.sample(pairs, 2)
    weights = [0] * len(pairs)
    for _ in range(64):  # masses are 64ths, which floats add without error
        weights[generator.randrange(len(pairs))] += 1
    return {pair: weight / 64 for pair, weight in zip(pairs, weights, strict=True) if weight}


def facts_of(model: Model) -> Facts:
    values = {p.name: np.asarray(p.value, dtype=float) for p in model.parameters}
    arrays = [np.array(a.values).reshape(a.dims) for a in model.arrays]
    last = (model.horizon.steps or 1) - 1
    return Facts(model.nodes, model.types, values, arrays, {}, last)


@bounded(40)
@given(models(), st.integers(0, 2**32))
def test_enclosures_contain_every_reward_and_kernel_rows_add_up(text: str, seed: int) -> None:
    compilation = compile_text(text)
    assert compilation.ok, text + render_text(compilation.diagnostics, compilation.sources)
    model, generator = compilation.require_model(), random.Random(seed)
    facts = facts_of(model)
    ranges = {term.name: enclosure(facts, [term.node]) for term in model.population.rewards}
    states, actions = meaning.joint_states(model), meaning.joint_actions(model)
    for _ in range(4):
        law = random_law(model, generator)
        t = generator.randrange(model.horizon.steps or 1)
        state, action = generator.choice(states), generator.choice(actions)
        row = meaning.kernel_row(model, t, law, state, action)
        assert math.isclose(sum(row.values()), 1, abs_tol=1e-12)
        assert set(row) <= set(states) and min(row.values()) >= 0
        own = {("state", v.name): x for v, x in zip(model.population.states, state, strict=True)}
        own |= {
            ("action", v.name): x for v, x in zip(model.population.actions, action, strict=True)
        }
        for term in model.population.rewards:
            value = evaluate(model, term.node, Environment(own, t, {}, law))
            lo, hi = ranges[term.name]
            slack = 1e-9 * max(1.0, abs(lo), abs(hi))
            assert lo - slack <= value <= hi + slack, (term.name, value, lo, hi, text)
