"""Kill a training ten times at random moments, and compare its weights with an undisturbed one's.

    python scripts/kill_training.py                         # tiny weights, some minutes
    python scripts/kill_training.py recipe.yaml --kills 10

Each kill is SIGKILL to `rerank-bench train`, up to half a second after it has written another
checkpoint, so that each goes on from the one before. Exits 1 where the weights differ.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.core.kept_folder import MANIFEST
from bench.models.weights import file_hash

RECIPE = """
name: killed
base: tiny:bert-cross-encoder
data: {"embedded:everyday-train": {queries: 24}}
dev: 0.2
leaks: drop
epochs: 24
batch: 32
length: 64
rate: 1.0e-3
checks: 1
patience: null
depth: 10
negatives: {from: bm25, per_query: 5}
"""
LATEST = 600
"""Seconds after which a training is taken to hang."""


def main() -> int:
    arguments = parse_arguments()
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = folder / "recipe.yaml"
        recipe.write_text(RECIPE, encoding="utf-8")
        if arguments.recipe:
            recipe = arguments.recipe
        undisturbed, killed = folder / "undisturbed", folder / "killed"
        started = time.monotonic()
        wait(start(recipe, undisturbed, arguments.device))
        print(
            f"undisturbed: {time.monotonic() - started:.0f} s, {weights(undisturbed)}", flush=True
        )
        kills = 0
        while kills < arguments.kills:
            process = start(recipe, killed, arguments.device)
            step = kill_at_work(process, killed, generator)
            if step is None:
                print("the training ended before the next kill: give it more epochs")
                return 1
            kills += 1
            print(f"kill {kills}: {', '.join(step)}", flush=True)
        wait(start(recipe, killed, arguments.device))
        print(f"killed {kills} times: {weights(killed)}")
        same = weights(killed) == weights(undisturbed)
    print("the same weights" if same else "OTHER WEIGHTS")
    return 0 if same else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path, nargs="?", help="a recipe without a test")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def start(recipe: Path, out: Path, device: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench", "train", str(recipe), "--out", str(out)]
    return subprocess.Popen([*command, "--device", device, "--quiet"], stdout=subprocess.DEVNULL)


def wait(process: subprocess.Popen[bytes]) -> None:
    if process.wait(LATEST) != 0:
        raise SystemExit("a training failed")


def kill_at_work(
    process: subprocess.Popen[bytes], out: Path, generator: random.Random
) -> list[str] | None:
    """Kill a training some moments after it has written a checkpoint, also while it writes the
    next one; return the checkpoints that it leaves, None where it has ended.
    """
    before = set(checkpoints(out))
    deadline = time.monotonic() + LATEST
    # the last one may go before the next one is whole
    while set(checkpoints(out)) <= before:
        if process.poll() is not None:
            return None
        if time.monotonic() > deadline:
            process.kill()
            raise SystemExit("a training wrote no checkpoint")
        time.sleep(0.005)
    time.sleep(generator.uniform(0, 0.5))
    if process.poll() is not None:
        return None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return checkpoints(out)


def checkpoints(out: Path) -> list[str]:
    """Return the names of the whole checkpoints of a training, which go on after a kill."""
    manifests = (out / "model.training").glob(f"checkpoint-*/{MANIFEST}")
    return sorted(path.parent.name for path in manifests)


def weights(out: Path) -> str:
    (path,) = (out / "model").glob("*model.safetensors")
    return file_hash(path)[:16]


if __name__ == "__main__":
    sys.exit(main())
