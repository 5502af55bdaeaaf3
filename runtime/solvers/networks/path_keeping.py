"""What a run along drawn paths leaves in its folder, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from mfdsl.runtime.runs import RunError, RunFolder, document_of, packed
from mfdsl.runtime.solution import finite
from mfdsl.runtime.solvers.networks.dense import Shape, Weights
from mfdsl.runtime.solvers.networks.path_gradient import PathPolicy
from mfdsl.runtime.solvers.networks.path_solution import PathReport, PathSolution

ITERATION = "iteration"  # the entry of a state that says how many iterations led to it
PLAYED = ("weights", "centre", "scale")
ADAM = ("mean", "square", "steps")


def keep(folder: RunFolder, solution: PathSolution) -> None:
    """Write the policy, all reports, the state and, last of all, the summary.

    Raises:
        RunError: a file cannot be written; files that were there stay whole.
    """
    lines = [json.dumps(finite(asdict(report))) + "\n" for report in solution.history]
    kind = {"solver": solution.solver}
    played = {name: solution.state[name] for name in PLAYED}
    folder.write(
        {
            "policy.safetensors": packed(played, kind),
            "metrics.jsonl": "".join(lines).encode(),
            "state.safetensors": packed(solution.state, kind),
            "summary.json": document_of(solution.to_json()),
        }
    )


def tensors_of(policy: PathPolicy) -> dict[str, Tensor]:
    """A policy with the averages of Adam, by name."""
    weights = policy.weights
    return {
        "weights": weights.values,
        "centre": policy.centre,
        "scale": policy.scale,
        "mean": weights.mean,
        "square": weights.square,
        "steps": torch.tensor(weights.steps),
    }


def policy_of(shape: Shape, tensors: Mapping[str, Tensor]) -> PathPolicy:
    """The policy of a state, or of the file of a policy, which has no averages of Adam.

    Raises:
        RunError: a tensor is missing, or they are of networks of other sizes.
    """
    count = sum(rows * columns for rows, columns in shape.sizes)
    sizes = {"weights": (1, count), "centre": (shape.law,), "scale": (shape.law,)}
    sizes |= {"mean": (1, count), "square": (1, count), "steps": ()}
    wanted = (*PLAYED, *ADAM) if "mean" in tensors else PLAYED
    for name in wanted:
        if name not in tensors or tuple(tensors[name].shape) != sizes[name]:
            found = "none" if name not in tensors else f"one of sizes {list(tensors[name].shape)}"
            raise RunError(
                f"the networks are of another game or of other options: `{name}` has sizes"
                f" {list(sizes[name])} here, and there is {found}"
            )
    values, blank = tensors["weights"], torch.zeros_like(tensors["weights"])
    mean, square = tensors.get("mean", blank), tensors.get("square", blank)
    weights = Weights(values, mean, square, int(tensors.get("steps", torch.tensor(0))))
    return PathPolicy(shape, weights, tensors["centre"], tensors["scale"])


def reports_of(folder: RunFolder) -> tuple[PathReport, ...]:
    """The reports of a run, up to the first that is damaged."""
    found = []
    for entry in folder.lines("metrics.jsonl"):
        try:
            numbers = [
                float("nan") if entry[name] is None else float(entry[name])
                for name in ("exploitability", "std_error", "value", "seconds")
            ]
            found.append(PathReport(int(entry["iteration"]), *numbers))
        except (KeyError, TypeError, ValueError):
            break
    return tuple(found)
