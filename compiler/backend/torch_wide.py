"""Writers of the inputs of member functions: all values along axes, scalars with more axes."""

from collections.abc import Sequence

from mfdsl.compiler.backend.torch_field import FieldNames
from mfdsl.compiler.backend.torch_text import signature
from mfdsl.compiler.backend.torch_writer import Writer
from mfdsl.compiler.ir.model import Variable


def wide_functions(w: Writer) -> list[str]:
    """Tuples of all values, and parameters and statistics with more axes, as far as needed."""
    made = [_own_values(w, "states", "State", w.states, 1)]
    if w.population.actions:
        made += [_own_values(w, "actions", "Action", w.population.actions, 1 + len(w.sizes))]
    if w.population.noises:
        place = 1 + len(w.sizes) + len(w.action_sizes)
        made += [_own_values(w, "noises", "Noise", w.population.noises, place)]
    made += [_wide_params(w)]
    if "_wide_field" in w.shared.helpers:
        made.append(_wide_field("Field", w.fields))
    if w.final_field:
        made.append(_wide_field("FinalField", w.final_fields))
    return made


def _own_values(w: Writer, name: str, kind: str, group: Sequence[Variable], place: int) -> str:
    w.shared.helpers.add("_axis")
    calls = ", ".join(
        f"{w.field_of(v)}=_axis({w.first(v)}, {w.size(v)}, {k}, rank, device)"
        for k, v in enumerate(group, place)
    )
    body = [f"return {kind}({calls})"]
    lines = ['"""All values, each variable along its own axis of `rank` axes."""', *body]
    head = signature(f"_{name}", ["rank: int", "device: torch.device"], kind)
    return "\n    ".join([head, *lines]) + "\n"


def _wide_params(w: Writer) -> str:
    w.shared.helpers.add("_column")
    rows = ["unit=_column(p.unit, rank)"]
    for parameter in w.plan.model.parameters:
        if parameter.structural:
            continue
        name = w.shared.parameters[parameter.name]
        type = w.plan.model.types[parameter.type]
        cast = {"real": "", "bool": ".bool()"}.get(type.kind, ".long()")
        if type.dims:
            count = len(type.dims)
            value = f"p.{name} if p.{name}.dim() > {count} else p.{name}[None]"
            rows.append(f"{name}=({value}){cast}" if cast else f"{name}={value}")
        else:
            rows.append(f"{name}=_column(p.{name}, rank){cast}")
    doc = "Scalars as [B, 1, ..., 1] with `rank` axes, arrays as [B, ...]."
    return _tuple_of("_wide_params", "p: Params", "Params", doc, rows)


def _wide_field(kind: str, fields: FieldNames) -> str:
    rows = []
    for name, shape in fields.shapes.items():
        value = f"_column(f.{name}, rank)" if shape == "[B]" else f"f.{name}"
        rows.append(f"{name}={value}")
    doc = "Scalars as [B, 1, ..., 1] with `rank` axes, tables as they are."
    helper = "_wide_field" if kind == "Field" else "_wide_final"
    return _tuple_of(helper, f"f: {kind}", kind, doc, rows)


def _tuple_of(name: str, argument: str, kind: str, doc: str, rows: Sequence[str]) -> str:
    lines = [f"def {name}({argument}, rank: int) -> {kind}:", f'    """{doc}"""']
    flat = f"    return {kind}({', '.join(rows)})"
    if len(flat) <= 100:
        lines.append(flat)
    else:
        lines += [f"    return {kind}(", *(f"        {row}," for row in rows), "    )"]
    return "\n".join(lines) + "\n"
