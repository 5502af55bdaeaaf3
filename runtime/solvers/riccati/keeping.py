"""What an exact solve leaves in its run folder, and back."""

import io
import json
from dataclasses import asdict

import numpy as np
import torch

from mfdsl.runtime.runs import RunError, RunFolder, document_of, packed
from mfdsl.runtime.solution import finite
from mfdsl.runtime.solvers.riccati.game import Game
from mfdsl.runtime.solvers.riccati.plan import Policy
from mfdsl.runtime.solvers.riccati.solution import ExactSolution

FILE = "policy.safetensors"


def keep(folder: RunFolder, solution: ExactSolution, dtype: torch.dtype) -> None:
    """Write policy, flow, the one report and, last of all, the summary.

    Raises:
        RunError: a file cannot be written.
    """
    game, policy, path = solution.game, solution.policy, io.BytesIO()
    covariances = {c.name: v for c, v in zip(game.crowds, solution.flow.members, strict=True)}
    np.savez_compressed(
        path,
        allow_pickle=False,
        names=np.array(game.common),
        means=solution.flow.means,
        **{f"covariance.{name}": v for name, v in covariances.items()},
    )
    tensors = {"controls": policy.controls, "margins": policy.margins}
    for k, crowd in enumerate(game.crowds):
        tensors[f"own.{crowd.name}"] = policy.own[k]
        tensors[f"common.{crowd.name}"] = policy.common[k]
    names = {"common": json.dumps(game.common), "controls": json.dumps(game.controls)}
    saved = {k: torch.as_tensor(v, dtype=dtype) for k, v in tensors.items()}
    lines = [json.dumps(finite(asdict(record))) + "\n" for record in solution.history]
    folder.write(
        {
            FILE: packed(saved, names | {"solver": solution.solver}),
            "flow.npz": path.getvalue(),
            "metrics.jsonl": "".join(lines).encode(),
            "summary.json": document_of(solution.to_json()),
        }
    )


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
