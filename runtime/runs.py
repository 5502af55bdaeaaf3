"""Run folders: everything about one solve on disk, written beside and renamed so none is half done.

A run holds spec.mfg, options.json, versions.json, metrics.jsonl (one line for each report),
policy.safetensors, state.safetensors (to continue), flow.npz and summary.json. One that did not
begin at the uniform policy has the first one in start.safetensors.
"""

import errno
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from mfdsl.runtime.interruption import patient
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Record, Solution, finite
from mfdsl.runtime.tensor_files import axes_of, pieces, policy_pieces, whole_probs

POLICY = "policy.safetensors"
START = "start.safetensors"
REQUIRED = ("spec.mfg", "options.json", "versions.json")
Told = Callable[[str, int], None]  # who is told the file that is written and its bytes so far
REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.ENOTDIR: "part of the path is a file, not a folder",
}


class RunError(ValueError):
    """A folder that is not a run, a damaged file in it, or a disk that cannot be written."""


def _missing(path: Path) -> list[str]:
    """Files of a run that a folder lacks."""
    return [name for name in REQUIRED if not (path / name).is_file()]


@dataclass(frozen=True)
class RunFolder:
    """A folder with one solve; `path` exists and holds a spec and the options."""

    path: Path

    @classmethod
    def create(cls, parent: Path, game: str, spec: str, options: Mapping[str, Any]) -> "RunFolder":
        """A new folder parent/<game>-<4 hex digits>; a taken name is never written over.

        Raises:
            RunError: the folder cannot be written.
        """
        # In the order of the options: that of the axes of a batch says which game is which.
        document = json.dumps(dict(options), indent=2)
        files = {
            "spec.mfg": spec,
            "options.json": document + "\n",
            "versions.json": json.dumps(versions(), indent=2) + "\n",
        }
        with _disk(parent):
            parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=f".{game}-", dir=parent))
            try:
                beside.chmod(0o755)
                for name, text in files.items():
                    (beside / name).write_text(text, encoding="utf-8")
                return cls(_renamed(beside, parent, game, spec + document))
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The run in an existing folder.

        Raises:
            RunError: there is no such folder, or it is not a run.
        """
        if not path.is_dir():
            why = "it is a file" if path.exists() else "there is no such folder"
            raise RunError(f"{path} is not a run folder: {why}")
        missing = _missing(path)
        if missing:
            inside = sorted(folder for folder in path.iterdir() if not _missing(folder))
            found = f"; {inside[-1]}, in it, is one" if inside else ""
            raise RunError(f"{path} is not a run folder: it has no {missing[0]}{found}")
        return cls(path)

    @property
    def spec(self) -> str:
        """The text of the spec that was solved."""
        return self._read("spec.mfg").decode("utf-8", errors="replace")

    @property
    def options(self) -> dict[str, Any]:
        """The options of the solve."""
        return _object(self._read("options.json"), self.path / "options.json")

    @property
    def made_with(self) -> dict[str, Any]:
        """The versions that the run began with, by name."""
        return _object(self._read("versions.json"), self.path / "versions.json")

    @property
    def summary(self) -> dict[str, Any]:
        """The outcome as it was saved."""
        return _object(self._read("summary.json"), self.path / "summary.json")

    def append(self, record: Record) -> None:
        """Add a report to metrics.jsonl.

        Raises:
            RunError: the file cannot be written.
        """
        with _disk(self.path), (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(record.to_json())) + "\n")

    def history(self) -> tuple[Record, ...]:
        """The reports of metrics.jsonl; a last line that was cut short is left out."""
        records = []
        for entry in self.lines("metrics.jsonl"):
            try:
                gap = entry["exploitability"]
                gap = float("nan") if gap is None else float(gap)
                values = entry.get("value")
                value = None if values is None else tuple(_number(v) for v in values)
                records.append(Record(int(entry["iteration"]), gap, float(entry["seconds"]), value))
            except (ValueError, KeyError, TypeError):
                break
        return tuple(records)

    def save(self, solution: Solution, told: Told | None = None) -> None:
        """Write policy, state, flow, metrics and, last of all, the summary.

        Ctrl-C waits until the folder is whole; pressed once more it ends this at once.

        Raises:
            RunError: a file cannot be written; files that were there stay whole.
        """
        files: dict[str, bytes | Iterable[bytes]] = {
            POLICY: policy_pieces(solution.policy),
            "state.safetensors": pieces(solution.state, {"solver": solution.solver}),
            "flow.npz": _flow_pieces(solution.flow.laws),
            "metrics.jsonl": lines_of(solution.history),
            "summary.json": document_of(solution.to_json()),
        }
        with patient():
            self.write(files, told)

    def write(self, files: Mapping[str, bytes | Iterable[bytes]], told: Told | None = None) -> None:
        """Write files one after another, each whole or not at all; large ones come in pieces.

        Raises:
            RunError: a file cannot be written; files that were there stay whole.
        """
        with _disk(self.path):
            for name, content in files.items():
                parts = [content] if isinstance(content, bytes) else content
                self._write(name, parts if told is None else _counted(name, parts, told))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a file of JSON lines; a last line that was cut short is left out."""
        if not (self.path / name).is_file():
            return []
        found = []
        for line in self._read(name).decode("utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not isinstance(entry, dict):
                break
            found.append(entry)
        return found

    def policy(self, program: Program) -> TabularPolicy:
        """The saved policy of this program.

        Raises:
            RunError: the file is missing or damaged, or belongs to a game of other sizes.
        """
        probs = self._probs()
        sizes = (program.state_count, program.action_count)
        if probs is None or tuple(probs.shape[2:]) != sizes:
            raise RunError(
                f"{self.path / POLICY} does not hold a policy for "
                f"{sizes[0]} states and {sizes[1]} actions"
            )
        return TabularPolicy(probs, program.state_axes(), program.action_axes())

    def saved_policy(self) -> TabularPolicy:
        """The saved policy over its own axes, whatever program it is of.

        Raises:
            RunError: the file is missing or damaged.
        """
        probs = self._probs()
        try:
            with safetensors.safe_open(self.path / POLICY, "pt") as file:
                metadata = file.metadata() or {}
            states, actions = (axes_of(metadata[kind]) for kind in ("states", "actions"))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            probs = None
        if probs is None:
            raise RunError(f"{self.path / POLICY} is damaged: it does not hold a policy")
        return TabularPolicy(probs, states, actions)

    def _probs(self) -> Tensor | None:
        tensors = self.tensors(POLICY)
        try:
            return whole_probs(tensors)
        except ValueError as error:
            raise RunError(f"{self.path / POLICY} is damaged: {error}") from None

    def laws(self) -> Tensor:
        """The saved flow [B, T + 1, S].

        Raises:
            RunError: the file is missing or damaged.
        """
        path, content = self.path / "flow.npz", self._read("flow.npz")
        try:
            with numpy.load(io.BytesIO(content), allow_pickle=False) as arrays:
                laws = torch.from_numpy(arrays["laws"])
        except (ValueError, TypeError, KeyError, OSError, EOFError, BadZipFile) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        if laws.ndim != 3 or not laws.numel():
            raise RunError(f"{path} is damaged: it holds no laws by stage and state")
        return laws

    def state(self) -> dict[str, Tensor]:
        """The tensors from which the solver continues.

        Raises:
            RunError: the file is missing (nothing was saved yet) or damaged.
        """
        return self.tensors("state.safetensors")

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of a file by name.

        Raises:
            RunError: the file is missing or damaged.
        """
        content = self._read(name)
        try:
            tensors: dict[str, Tensor] = safetensors.torch.load(content)
        except (SafetensorError, ValueError, KeyError) as error:
            raise RunError(f"{self.path / name} is damaged: {error}") from error
        return tensors

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError as error:
            raise RunError(f"{self.path} has no {name}: the solve did not get that far") from error
        except OSError as error:
            raise RunError(f"cannot read {self.path / name}: {error.strerror}") from error

    def _write(self, name: str, content: Iterable[bytes]) -> None:
        handle, beside = tempfile.mkstemp(prefix=f".{name}-", dir=self.path)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).chmod(0o644)
            Path(beside).replace(self.path / name)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise


def _number(value: float | None) -> float:
    """A number of a JSON file, where null stands for one that is not finite."""
    return float("nan") if value is None else float(value)


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    try:
        own = importlib.metadata.version("mfdsl")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"
    return {
        "mfdsl": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
    }


def _renamed(beside: Path, parent: Path, game: str, content: str) -> Path:
    for attempt in range(1 << 16):
        digest = hashlib.sha256(f"{attempt}\n{content}".encode()).hexdigest()[:4]
        path = parent / f"{game}-{digest}"
        if path.exists():
            continue
        try:
            return beside.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise RunError(f"{parent} has no free name for another run of {game}: remove old runs")


def lines_of(history: Sequence[Record]) -> bytes:
    """The content of metrics.jsonl."""
    return "".join(json.dumps(finite(r.to_json())) + "\n" for r in history).encode()


def document_of(entries: Mapping[str, Any]) -> bytes:
    """A JSON document for people to read."""
    return (json.dumps(dict(entries), indent=2, allow_nan=False) + "\n").encode()


def packed(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Tensors by name as the content of a safetensors file."""
    whole = {name: value.contiguous() for name, value in tensors.items()}
    content: bytes = safetensors.torch.save(whole, metadata)
    return content


def _flow_pieces(laws: Tensor) -> Iterator[bytes]:
    """The content of flow.npz; what nobody reached is zeros, which take no room."""
    flow = io.BytesIO()
    numpy.savez_compressed(flow, laws=laws.cpu().numpy())
    yield flow.getvalue()


def _counted(name: str, content: Iterable[bytes], told: Told) -> Iterator[bytes]:
    """The content; somebody is told of each piece before it is made."""
    done = 0
    told(name, done)
    for piece in content:
        yield piece
        done += len(piece)
        told(name, done)


def _object(content: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it does not hold an object")
    return value


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0, error.strerror or str(error))
        raise RunError(f"cannot write {place}: {reason}") from error
