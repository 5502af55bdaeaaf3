"""Verbs that list: solvers, specs, doctor. Only doctor imports torch."""

from typing import Any

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FINE
from mfdsl.runtime.solvers.table import SOLVERS, Row
from mfdsl.shipped import shipped_specs
from mfdsl.summary import horizon_text, model_json, sizes_text


def specs(json: options.Json = False) -> int:
    """List the games that come with mfdsl."""
    console = Console(json)
    rows, entries = [], []
    for name, path in shipped_specs().items():
        model = api.load(path).model
        doc = _sentence(model.doc)
        rows.append((name, sizes_text(model), horizon_text(model), doc))
        entries.append(model_json(model) | {"name": name, "doc": doc})
    console.table(("name", "size", "horizon", "what it is"), rows)
    console.json_object({"specs": entries})
    return FINE


def _sentence(doc: str) -> str:
    """The first sentence of a documentation, without its full stop."""
    return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def solvers(json: options.Json = False) -> int:
    """List the solvers: what they need, options, papers."""
    console = Console(json)
    for row in SOLVERS.values():
        console.result(f"{row.name}: {row.summary}")
        console.result(f"  needs   {row.requires}")
        for name, default, meaning in _options(row):
            console.result(f"  --opt {name}={default}  {meaning}")
        console.result(f"  paper   {row.reference}")
    console.json_object({"solvers": [_solver_json(row) for row in SOLVERS.values()]})
    return FINE


def _options(row: Row) -> list[tuple[str, Any, str]]:
    fields = row.config.model_fields.items()
    return [(name, field.default, field.description or "") for name, field in fields]


def _solver_json(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "summary": row.summary,
        "requires": row.requires,
        "reference": row.reference,
        "options": [
            {"name": name, "default": default, "meaning": meaning}
            for name, default, meaning in _options(row)
        ],
    }


def doctor(json: options.Json = False) -> int:
    """Print versions, devices and optional parts."""
    from mfdsl.doctor import diagnose

    console = Console(json)
    found = diagnose()
    python = f"Python {found['python']} on {found['platform']}"
    console.result(f"mfdsl {found['mfdsl']}, {python}")
    console.table(("package", "version"), _packages(found["packages"]))
    if found["torch"] is not None:
        console.result(f"devices   {', '.join(found['torch']['devices'])}")
        console.result(f"threads   {found['torch']['threads']}")
    extras = [f"{name} {'yes' if there else 'no'}" for name, there in found["extras"].items()]
    console.result(f"extras    {', '.join(extras)}")
    console.json_object(found)
    return FINE


def _packages(versions: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, version or "missing") for name, version in versions.items()]
