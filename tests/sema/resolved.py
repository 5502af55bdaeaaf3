"""Lowers a spec without the checks of ranges, and writes nodes as formulas."""

from collections.abc import Mapping

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.imports import Files, Loaded, load_imports
from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.render import render_text
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.lower import resolve
from mfdsl.compiler.sema.result import build_model
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.parse import parse


def resolved(text: str, imports: Mapping[str, str] | None = None) -> Model:
    """The model of `text`; fails with its diagnostics when it has errors."""
    files = Files(None, dict(imports or {}))
    sink, loaded = Sink(), Loaded()
    source = SourceFile("spec.mfg", text)
    loaded.sources[source.name] = source
    loaded.units[source.name] = parse(source, sink)
    load_imports(loaded, source.name, files, sink)
    ctx = Context(Builder(), sink)
    unit = loaded.units[source.name]
    found = None if sink.failed else resolve(ctx, unit, loaded, files, {})
    assert found is not None, render_text(sink.sorted(), loaded.sources)
    return build_model(ctx, unit, source, found[1], found[0])


def formula(model: Model, index: int | None) -> str:
    """A node as text: `add(x, 1)`; `q0.x` is the member of depth 0, `truck[0].y` common."""
    assert index is not None
    node = model.nodes[index]
    attr = node.attr
    if node.op == "const":
        value = float(attr) if isinstance(attr, int | float) else 0.0
        return f"{value:g}"
    if node.op.startswith("peer_"):
        assert isinstance(attr, tuple)
        return f"q{attr[0]}.{attr[1]}"
    if node.op.startswith("common_"):
        assert isinstance(attr, tuple)
        return f"{attr[0]}.{attr[1]}"
    if node.op in ("state", "trait", "action", "noise", "draw", "param"):
        return str(attr)
    inside = ", ".join(formula(model, i) for i in node.args)
    if node.op in ("real", "ind"):
        return inside
    owner = f"[{attr[1]}]" if isinstance(attr, tuple) else ""
    return f"{node.op}{owner}({inside})" if node.args else node.op


def reward(model: Model, player: str, name: str) -> str:
    """The formula of a reward term."""
    terms = model.player(player).rewards
    return formula(model, next(t.node for t in terms if t.name == name))


def next_value(model: Model, player: str, name: str) -> str:
    """The formula of the next value of a state."""
    states = model.player(player).states
    return formula(model, next(s.next for s in states if s.name == name))
