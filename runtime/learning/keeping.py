"""What a course of learning leaves in its run folder, and back."""

import json
from dataclasses import asdict

from torch import Tensor

from mfdsl.runtime.learning.loop import Learned, LearningRecord
from mfdsl.runtime.runs import RunFolder, document_of, packed
from mfdsl.runtime.solution import finite


def keep(folder: RunFolder, learned: Learned) -> None:
    """Write the best networks, all records, the state and, last of all, the summary.

    Whoever is killed on the way leaves records of iterations that the state has not made, never
    the other way round.

    Raises:
        RunError: a file cannot be written; files that were there stay whole.
    """
    lines = [json.dumps(finite(asdict(record))) + "\n" for record in learned.history]
    kind = {"solver": learned.solver}
    folder.write(
        {
            "policy.safetensors": packed(learned.networks, kind),
            "metrics.jsonl": "".join(lines).encode(),
            "state.safetensors": packed(learned.state, kind),
            "summary.json": document_of(learned.to_json()),
        }
    )


def networks_of(folder: RunFolder) -> dict[str, Tensor]:
    """The best networks of a run.

    Raises:
        RunError: the file is missing or damaged.
    """
    return folder.tensors("policy.safetensors")


def records_of(folder: RunFolder) -> tuple[LearningRecord, ...]:
    """The records of a run, up to the first that is damaged."""
    found = []
    for entry in folder.lines("metrics.jsonl"):
        try:
            found.append(
                LearningRecord(
                    int(entry["iteration"]),
                    float(entry["seconds"]),
                    _number(entry["value"]),
                    _number(entry["measured"]),
                    _number(entry["std_error"]),
                    {k: _number(v) for k, v in entry["details"].items()},
                )
            )
        except (KeyError, TypeError, ValueError):
            break
    return tuple(found)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
