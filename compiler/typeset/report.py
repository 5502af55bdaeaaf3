"""The report of a game: its sets, dynamics, rewards, parameters and certificates."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.typeset.blocks import Block, Formulas, Heading, Paragraph, Table
from mfdsl.compiler.typeset.escape import escape_latex
from mfdsl.compiler.typeset.formula import Names, formula
from mfdsl.compiler.typeset.symbols import moving, symbol, value

KINDS = {"population": "Population", "major": "Major", "environment": "Environment"}


def report_blocks(
    unit: ast.Unit, model: Model, certificates: Sequence[Certificate] = ()
) -> list[Block]:
    """The report of a checked spec; formulas keep the order in which they are written."""
    blocks: list[Block] = [Heading(model.name, 1)]
    blocks += [Paragraph(model.doc)] if model.doc else []
    blocks.append(Paragraph(_overview(model)))
    names = _file_names(unit)
    shared = list(_definitions(unit, names))
    if shared:
        blocks += [Heading("Definitions", 2), Formulas(tuple(shared))]
    for declaration in unit.declarations:
        if isinstance(declaration, ast.Player):
            blocks += _player(declaration, names)
    if model.parameters:
        blocks += [Heading("Parameters", 2), _parameters(unit, model, names)]
    if certificates:
        rows = dict.fromkeys((c.claim, c.subject, _bounds(c), c.verdict) for c in certificates)
        header = ("claim", "of", "bounds", "verdict")
        blocks += [Heading("Certificates", 2), Table(header, tuple(rows))]
    return blocks


def _overview(model: Model) -> str:
    words = {"nash": "A Nash equilibrium is sought", "team": "All maximise the same return"}
    horizon = model.horizon
    steps = f"{horizon.steps} steps" if horizon.steps is not None else f"{horizon.kind} horizon"
    discount = f", discount {model.discount:g}" if model.discount != 1 else ""
    return f"{words[model.objective]}; {steps}{discount}."


def _bounds(certificate: Certificate) -> str:
    ends = [certificate.lower, certificate.upper]
    return "" if ends == [None, None] else " to ".join("?" if e is None else f"{e:g}" for e in ends)


def _file_names(unit: ast.Unit) -> Names:
    enums = [d for d in unit.declarations if isinstance(d, ast.Enum)]
    players = [d for d in unit.declarations if isinstance(d, ast.Player)]
    return Names(
        values=frozenset(v.name for d in enums for v in d.values),
        populations=frozenset(p.name.name for p in players if p.kind == "population"),
        handles={p.name.name: p.handle.name for p in players if p.handle is not None},
    )


def _definitions(unit: ast.Unit, names: Names) -> Iterator[str]:
    for declaration in unit.declarations:
        if isinstance(declaration, ast.Let):
            yield f"{symbol(declaration.name.name)} &= {formula(names, declaration.value)}"
        elif isinstance(declaration, ast.Fn):
            arguments = ", ".join(symbol(a.name.name) for a in declaration.arguments)
            head = rf"{symbol(declaration.name.name)}\left({arguments}\right)"
            yield f"{head} &= {formula(names, declaration.body)}"


def _player(player: ast.Player, shared: Names) -> list[Block]:
    moves = [
        m.name.name
        for m in player.members
        if isinstance(m, ast.State | ast.Action | ast.Noise | ast.Let)
    ]
    weights = frozenset(m.name.name for m in player.members if isinstance(m, ast.Weights))
    names = replace(shared, moving=frozenset(moves), weights=weights)
    title = f"{KINDS[player.kind]} {player.name.name}"
    if player.family is not None:
        title += f", one for each {player.family.name.name}"
    blocks: list[Block] = [Heading(title, 2)]
    blocks += [Paragraph(player.doc)] if player.doc else []
    for heading, rows in (
        ("Sets", _sets(player, names)),
        ("Dynamics", _dynamics(player, names)),
        ("Rewards", _rewards(player, names)),
    ):
        found = tuple(rows)
        if found:
            blocks += [Heading(heading, 3), Formulas(found)]
    return blocks


def _sets(player: ast.Player, names: Names) -> Iterable[str]:
    for member in player.members:
        if isinstance(member, ast.State | ast.Action):
            yield rf"{moving(member.name.name)} &\in {type_formula(names, member.type)}"
        if isinstance(member, ast.Trait):
            inside = type_formula(names, member.type)
            source = rf"\text{{{escape_latex(member.data.value)}}}" if member.data else ""
            law = formula(names, member.law) if member.law is not None else source
            yield rf"{symbol(member.name.name)} &\sim {law}, \quad \text{{in }} {inside}"
        if isinstance(member, ast.Weights):
            source = rf"\text{{{escape_latex(member.data.value)}}}"
            yield rf"{symbol(member.name.name)} &\in \mathbb{{R}}^{{N \times N}}, \quad {source}"
        if isinstance(member, ast.Action) and member.where is not None:
            yield rf"&\text{{where }} {formula(names, member.where)}"
    for member in player.members:
        if isinstance(member, ast.State):
            mark = r"\sim" if member.drawn else "="
            start = moving(member.name.name).removesuffix("t}") + "0}"
            yield rf"{start} &{mark} {formula(names, member.initial)}"


def _dynamics(player: ast.Player, names: Names) -> Iterable[str]:
    for member in player.members:
        if isinstance(member, ast.Noise):
            yield rf"{moving(member.name.name)} &\sim {formula(names, member.law)}"
        elif isinstance(member, ast.Let):
            yield f"{moving(member.name.name)} &= {formula(names, member.value)}"
        elif isinstance(member, ast.Next):
            mark = r"\sim" if member.drawn else "="
            after = moving(member.name.name, after=True)
            yield rf"{after} &{mark} {formula(names, member.value)}"


def _rewards(player: ast.Player, names: Names) -> Iterable[str]:
    for member in player.members:
        if isinstance(member, ast.Reward):
            sign = "-" if member.kind == "cost" else ""
            name = value(member.name.name if member.name else member.kind)
            time = "T" if member.final else "t"
            text = formula(names, member.value)
            text = rf"\left({text}\right)" if sign else text
            yield rf"r^{{{name}}}_{{{time}}} &= {sign}{text}"


def type_formula(names: Names, type: ast.TypeExpr) -> str:
    """The set of values of a type."""
    base = {"real": r"\mathbb{R}", "int": r"\mathbb{Z}", "bool": r"\{0, 1\}"}.get(type.base.name)
    if base is None:
        part = "" if type.member is None else rf".\mathrm{{{type.member.name}}}"
        base = f"{symbol(type.base.name)}{part}"
    if type.domain is not None:
        inside = formula(names, type.domain)
        base = rf"{base} / {inside}" if type.domain_kind == "mod" else inside
    if not type.dims:
        return base
    lengths = r" \times ".join(formula(names, dim) for dim in type.dims)
    return rf"{{{base}}}^{{{lengths}}}"


def _parameters(unit: ast.Unit, model: Model, names: Names) -> Table:
    written = {d.name.name: d for d in unit.declarations if isinstance(d, ast.Param)}
    rows = []
    for parameter in model.parameters:
        shown = parameter.value
        size = f"{len(shown)} values" if isinstance(shown, tuple) else f"{shown:g}"
        inside = type_formula(names, written[parameter.name].type)
        rows.append((f"${symbol(parameter.name)}$", f"${inside}$", size, parameter.doc))
    return Table(("parameter", "in", "value", ""), tuple(rows))
