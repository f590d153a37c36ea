"""What the files of a model's folder say before anything is loaded: its configuration and the
headers of its safetensors files.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path

from bench.core.errors import RerankerError
from bench.core.json_file import json_value, read_json
from bench.core.paths import files_below
from bench.models import hub

Config = Mapping[str, object]
"""A model's configuration, as its JSON file has it."""
Shapes = Mapping[str, tuple[int, ...]]
"""Name of a tensor -> its shape."""
CONFIG = "config.json"
CLASSIFIER = "ForSequenceClassification"
_LENGTH_BYTES = 8
_HEAD = re.compile("classif|score|logits|summary|head")
"""What the outermost parts of a network are called that make scores of an encoding."""
_ZIP = b"PK"
"""What torch's archives begin with."""
_AUTO = ("configuration_auto.py", "auto_mappings.py")

ROBERTA_PADDING = 1
FIXED_PADDING = frozenset({"mpnet"})
"""Kinds of models whose positions begin after token 1, whatever their padding token is."""
AFTER_PADDING = FIXED_PADDING | {
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "luke",
    "mluke",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
"""Kinds of models whose positions begin after the padding token's."""
TEXT_TO_TEXT = ("t5", "mt5", "umt5")
"""Kinds of models that loading refuses by naming the backend that they belong to."""


def is_modular(folder: Path) -> bool:
    """Return whether a model is in several folders, as sentence-transformers keeps it: what makes
    scores is in one of its own.
    """
    return (folder / "modules.json").is_file()


def config(spec: str, folder: Path) -> Config | None:
    """Return the configuration at the top of a folder, None where a model of modules has none
    there. Raises RerankerError.
    """
    path = folder / CONFIG
    if not path.is_file():
        if is_modular(folder):
            return None
        raise RerankerError(f"{spec}: no {CONFIG} in it; copy the whole folder of the model")
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise RerankerError(f"{spec}: {CONFIG} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise RerankerError(f"{spec}: {CONFIG} holds no JSON object")
    return values


def tensors(spec: str, folder: Path) -> Shapes:
    """Return the shapes of all tensors in a folder's weights: safetensors, or pickled ones where
    there are no others. Raises RerankerError for a file that is not complete.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    files = sorted(files_below(folder))
    for path in files:
        if path.suffix == ".safetensors":
            shapes |= _shapes(spec, path)
    names = [path.relative_to(folder).as_posix() for path in files]
    for name in sorted(hub.pickled_weights(names)):
        shapes |= _pickled_shapes(spec, folder / name)
    return shapes


def positions(values: Config, shapes: Shapes) -> int | None:
    """Return how many tokens a table of learned positions holds, None where there is none.

    RoBERTa's family counts positions from the one after the padding token's: with 514 rows, and
    padding token 1, it reads 512 tokens.
    """
    rows = [
        shape[0]
        for name, shape in shapes.items()
        if name.endswith("position_embeddings.weight") and len(shape) == 2
    ]
    if not rows:
        return None
    kind = str(values.get("model_type"))
    padding = values.get("pad_token_id")
    if kind not in AFTER_PADDING:
        return min(rows)
    if kind in FIXED_PADDING or not isinstance(padding, int):
        padding = ROBERTA_PADDING
    return min(rows) - padding - 1


def refuse_unknown_kind(spec: str, values: Config) -> None:
    """Raise RerankerError for a kind of model that the installed transformers does not have and
    that brings no code of its own.
    """
    kind = values.get("model_type")
    package = find_spec("transformers")
    if package is None or not package.origin:
        return
    if "auto_map" in values or not isinstance(kind, str):
        return
    folder = Path(package.origin).parent / "models" / "auto"
    paths = [folder / name for name in _AUTO]
    texts = [path.read_text(encoding="utf-8") for path in paths if path.is_file()]
    if texts and not any(f'"{kind}"' in text for text in texts):
        raise RerankerError(
            f"{spec}: the installed transformers has no model_type '{kind}'; upgrade it, or mend "
            f"{CONFIG}"
        )


def refuse_longer(spec: str, length: int | None, positions: int | None) -> None:
    """Raise RerankerError where the maximum length that was asked for is more than a model's
    positions; None where there is no such number.
    """
    if length is not None and positions is not None and length > positions:
        raise RerankerError(
            f"{spec}: max_length {length} is more than the {positions} positions that the model has"
        )


def refuse_without_head(spec: str, values: Config, names: Collection[str]) -> None:
    """Raise RerankerError where a classifier's or an encoder's tensors, as far as they are known,
    hold nothing that makes scores.
    """
    kind = _architecture(values)
    if str(values.get("model_type")) in TEXT_TO_TEXT:
        return
    if not names or "auto_map" in values or not kind.endswith((CLASSIFIER, "Model")):
        return
    outermost = {name.partition(".")[0] for name in names}
    if not any(map(_HEAD.search, outermost)):
        raise RerankerError(
            f"{spec}: no trained classification head in its weights: not a cross-encoder; a "
            "bi-encoder needs that backend"
        )


def label_names(values: Config) -> list[str] | None:
    """Return the names of a classifier's labels, None where the configuration is of no classifier
    or does not say.
    """
    named = values.get("id2label")
    if not _architecture(values).endswith(CLASSIFIER) or not isinstance(named, dict):
        return None
    return [str(named.get(str(number), f"LABEL_{number}")) for number in range(len(named))]


def _architecture(values: Config) -> str:
    """Return the name of the network's class, empty where the configuration does not say."""
    names = values.get("architectures")
    if not isinstance(names, list) or not names:
        return ""
    return str(names[0])


def _pickled_shapes(spec: str, path: Path) -> Shapes:
    """Return the shapes in a file of torch, without reading its numbers or running its code. A file
    older than torch 1.6 is no archive, and says nothing until it is loaded.
    """
    problem = f"{spec}: {path.name} is not a whole PyTorch file; copy or download it again"
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                is_cut = file.read(len(_ZIP)) in (_ZIP, b"")
            if is_cut:
                raise RerankerError(problem)
            return {}
        import torch

        values = torch.load(path, map_location="meta", weights_only=True, mmap=True)
        return {
            name: tuple(value.shape)
            for name, value in values.items()
            if isinstance(value, torch.Tensor)
        }
    except pickle.UnpicklingError as error:
        raise RerankerError(
            f"{spec}: its pickled weights hold more than tensors ({path.name}): reading such a "
            "file can run code; have them saved as safetensors"
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, AttributeError) as error:
        raise RerankerError(problem) from error


def _shapes(spec: str, path: Path) -> Shapes:
    """Return the shapes that a safetensors file names: a length in 8 bytes, as much JSON, and the
    tensors' bytes.
    """
    size = path.stat().st_size
    problem = RerankerError(
        f"{spec}: {path.name} is not a whole safetensors file; copy or download it again"
    )
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if not 0 < length <= size - _LENGTH_BYTES:
                raise problem
            header = json_value(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        is_whole = _LENGTH_BYTES + length + end == size
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise problem from error
    if not is_whole:
        raise problem
    return shapes
