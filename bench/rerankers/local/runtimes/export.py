"""A loaded model as an ONNX file: made once, kept in the cache folder by what decides its content,
whole or not there.

`torch.onnx.export` with torch.export behind it ("dynamo"), dynamic in both axes. The library's own
export needs packages that hold transformers back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.core.cache_dir import VARIABLE, cache_dir
from bench.core.digest import digest_of
from bench.core.errors import RerankerError, first_line
from bench.core.kept_folder import alone, is_intact, keep
from bench.models.quiet import quiet
from bench.models.weights import versions
from bench.rerankers.local.runtimes import Setup

EDITION = 2
"""Counts up when the export changes, so that an older file is not taken for the new one."""
_EXPORTERS = ("torch.onnx", "onnxscript", "onnx_ir", "root")


def exported(setup: Setup) -> Path:
    """Return the model's ONNX file with float32 weights. Inputs are named as the batch's, the
    output is `scores`, shape (rows, 1).
    """
    tools = versions("torch", "transformers", "sentence-transformers", "onnx", "onnxscript")
    return kept({**setup.source, **tools}, lambda path: _export(setup, path))


def kept(content: Mapping[str, object], make: Callable[[Path], None]) -> Path:
    """Return the file that `make` writes to its argument, from the cache where it is there and as
    it was written.

    Raises RerankerError when it cannot be read or written. One process makes a file; others wait
    for it.
    """
    named = {"edition": EDITION, **content}
    place = cache_dir("exports", digest_of(named)[:16])

    def fill(folder: Path) -> None:
        make(folder / "model.onnx")
        (folder / "content.json").write_text(
            json.dumps(named, sort_keys=True, default=str), encoding="utf-8"
        )

    try:
        if not is_intact(place):
            with alone(place):
                if not is_intact(place):
                    with quiet(*_EXPORTERS):
                        keep(place, fill)
    except OSError as error:
        reason = f"{error.strerror or error}; set {VARIABLE} to a folder of your own"
        raise RerankerError(f"{place}: cannot be read or written: {reason}") from error
    return place / "model.onnx"


def _export(setup: Setup, path: Path) -> None:
    import torch

    class Scores(torch.nn.Module):  # type: ignore[misc]
        """The whole CrossEncoder as a function of tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.model = setup.model

        def forward(self, *tensors: Any) -> Any:
            return self.model(dict(zip(setup.example, tensors, strict=True)))["scores"]

    tensors = tuple(torch.from_numpy(array) for array in setup.example.values())
    both = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        program = torch.onnx.export(
            Scores().eval(),
            tensors,
            dynamo=True,
            dynamic_shapes=(tuple(both for _ in tensors),),
            input_names=list(setup.example),
            output_names=["scores"],
            verbose=False,
        )
        program.save(path)
    except OSError:
        raise
    except Exception as error:  # torch.export names no common base class for what it cannot trace
        raise RerankerError(
            f"this architecture cannot be exported to ONNX: {first_line(error)}"
        ) from error
