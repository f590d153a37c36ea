"""The folder that a training works in: checkpoints to go on from, and the best weights so far.

A checkpoint is what transformers' Trainer writes (https://huggingface.co/docs/transformers/trainer:
optimiser, schedule, states of the random generators, all read back with torch's `weights_only`),
with the trained parameters as safetensors and, here, the losses and dev values so far. It counts
once the digests of its files are in it: what a kill left half-written is never continued.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench.core.atomic import write_atomically
from bench.core.cache_dir import cache_dir
from bench.core.digest import digest_of, file_digest
from bench.core.kept_folder import alone, is_intact, seal

KEY = "key.json"
WEIGHTS = "trained.safetensors"
PROGRESS = "progress.json"
BEST = "best.sha256"
"""The digest of the best weights so far, which lie next to the checkpoints."""
LAYOUT = 1
"""Of what a checkpoint holds: another number where it could not be continued any more."""


class CurvePoint(NamedTuple):
    """A check of the model: mean training loss since the last one, and dev nDCG@10."""

    step: int
    loss: float
    ndcg: float


def best_of(curve: Sequence[CurvePoint]) -> CurvePoint:
    """Return the check with the best dev nDCG@10, the first of equals."""
    return max(curve, key=lambda point: point.ndcg)


@dataclass
class Progress:
    """What a training has come to."""

    losses: list[float] = field(default_factory=list)
    """Of each step since the last check."""
    curve: list[CurvePoint] = field(default_factory=list)
    seconds: float = 0.0
    """Time at work, over all the processes that it took."""

    @property
    def best(self) -> CurvePoint | None:
        """The best check, None before the first one."""
        if not self.curve:
            return None
        return best_of(self.curve)

    def is_stale(self, patience: int | None) -> bool:
        """Return whether the last checks, `patience` of them, brought nothing better."""
        best = self.best
        if best is None or patience is None:
            return False
        return len(self.curve) - 1 - self.curve.index(best) >= patience

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Progress:
        fields = json.loads(path.read_text(encoding="utf-8"))
        curve = [CurvePoint(*point) for point in fields["curve"]]
        return cls(fields["losses"], curve, fields["seconds"])


class Workplace:
    """The folder of one training, told apart by its key: everything that decides its weights."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self._key = json.dumps({"key": key, "layout": LAYOUT})

    def open(self) -> bool:
        """Make the folder, or empty it where another training worked in it. Return whether that
        was so.
        """
        path = self.folder / KEY
        is_other = self.folder.is_dir() and not self._is_mine(path)
        if is_other:
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self._key.encode())
        return is_other

    def _is_mine(self, path: Path) -> bool:
        return path.is_file() and path.read_bytes() == self._key.encode()

    def checkpoint(self) -> Path | None:
        """Return the newest checkpoint that is whole, and whose best weights are; what is not is
        removed.
        """
        intact: list[Path] = []
        for path in self._checkpoints():
            if is_intact(path) and self._has_best(path):
                intact.append(path)
            else:
                shutil.rmtree(path)
        return max(intact, key=step_of, default=None)

    def best_weights(self, step: int) -> Path:
        """Return the path of the weights after a step that was the best so far."""
        return self.folder / f"best-{step}.safetensors"

    def finish_checkpoint(self, path: Path, progress: Progress) -> None:
        """Have a checkpoint count, and remove what came before it."""
        progress.write(path / PROGRESS)
        best = progress.best
        if best is not None:
            (path / BEST).write_text(file_digest(self.best_weights(best.step)), encoding="utf-8")
        seal(path)
        for other in self._checkpoints():
            if other != path:
                shutil.rmtree(other)
        for weights in self.folder.glob("best-*.safetensors"):
            if best is None or weights != self.best_weights(best.step):
                weights.unlink()

    def _has_best(self, checkpoint: Path) -> bool:
        best = Progress.read(checkpoint / PROGRESS).best
        if best is None:
            return True
        try:
            digest = file_digest(self.best_weights(best.step))
        except FileNotFoundError:
            return False
        path = checkpoint / BEST
        return path.is_file() and path.read_text(encoding="utf-8") == digest

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _checkpoints(self) -> Sequence[Path]:
        return [path for path in sorted(self.folder.glob("checkpoint-*")) if path.is_dir()]


def alone_in(folder: Path) -> AbstractContextManager[None]:
    """Have other processes that train into the same folder wait while the block runs."""
    return alone(cache_dir("training", digest_of(str(folder.resolve()))[:20]))


def step_of(path: Path) -> int:
    """Return the step after which a checkpoint was written."""
    return int(path.name.rpartition("-")[2])
