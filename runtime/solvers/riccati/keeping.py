"""What an exact solve leaves in its run folder, and back."""

import io
import json
from dataclasses import asdict

import numpy as np
import torch

from mfdsl.runtime.runs import RunError, RunFolder, document_of, packed
from mfdsl.runtime.solution import finite
from mfdsl.runtime.solvers.riccati.forms import Array
from mfdsl.runtime.solvers.riccati.game import Game
from mfdsl.runtime.solvers.riccati.plan import Policy
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.runtime.solvers.riccati.sweep import ExactSweep

FILE = "policy.safetensors"


def keep(folder: RunFolder, found: ExactSolution | ExactSweep, dtype: torch.dtype) -> None:
    """Write policies, flows, the one report and, last of all, the summary. The arrays of a sweep
    have one more axis, the first one, for its points.

    Raises:
        RunError: a file cannot be written.
    """
    each = found.solutions if isinstance(found, ExactSweep) else (found,)
    swept, game, file = isinstance(found, ExactSweep), each[0].game, io.BytesIO()
    policies = [_policy_arrays(s) for s in each]
    flows = [_flow_arrays(s) for s in each]
    arrays = {k: np.stack([f[k] for f in flows]) if swept else flows[0][k] for k in flows[0]}
    np.savez_compressed(file, allow_pickle=False, names=np.array(game.common), **arrays)
    saved = {}
    for name, alone in policies[0].items():
        values = np.stack([p[name] for p in policies]) if swept else alone
        saved[name] = torch.as_tensor(values, dtype=dtype)
    names = {"common": json.dumps(game.common), "controls": json.dumps(game.controls)}
    lines = [json.dumps(finite(asdict(record))) + "\n" for record in found.history]
    folder.write(
        {
            FILE: packed(saved, names | {"solver": each[0].solver}),
            "flow.npz": file.getvalue(),
            "metrics.jsonl": "".join(lines).encode(),
            "summary.json": document_of(found.to_json()),
        }
    )


def _policy_arrays(solution: ExactSolution) -> dict[str, Array]:
    policy = solution.policy
    found = {"controls": policy.controls, "margins": policy.margins}
    for k, crowd in enumerate(solution.game.crowds):
        found[f"own.{crowd.name}"] = policy.own[k]
        found[f"common.{crowd.name}"] = policy.common[k]
    return found


def _flow_arrays(solution: ExactSolution) -> dict[str, Array]:
    members = zip(solution.game.crowds, solution.flow.members, strict=True)
    return {"means": solution.flow.means} | {f"covariance.{c.name}": v for c, v in members}


def policy_in(folder: RunFolder, game: Game) -> Policy:
    """The saved policy of this game.

    Raises:
        RunError: the file is missing, damaged, or of a game of other sizes.
    """
    tensors = folder.tensors(FILE)
    try:
        values = {k: v.double().numpy() for k, v in tensors.items()}
        found = Policy(
            tuple(values[f"own.{c.name}"] for c in game.crowds),
            tuple(values[f"common.{c.name}"] for c in game.crowds),
            values["controls"],
            values["margins"],
        )
    except KeyError as error:
        raise RunError(f"{folder.path / FILE} is damaged: it has no {error}") from error
    if found.controls.shape[1:] != (len(game.controls), game.size) or any(
        own.shape[1:] != (len(c.actions), c.size)
        for own, c in zip(found.own, game.crowds, strict=True)
    ):
        raise RunError(f"{folder.path / FILE} holds a policy of a game of other sizes")
    return found
