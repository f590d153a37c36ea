"""Tiny random late-interaction models, saved in each of the ways that real ones are."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from bench.models import tiny
from tests.support import tiny_models

late_interaction = partial(tiny.late_interaction, max_length=tiny_models.MAX_LENGTH)
SKIPPED = [".", ",", "!"]


def pylate(folder: Path, *, kind: str | None = "ColBERT") -> Path:
    """The same as PyLate saves it: an encoder and a Dense, the rest in one configuration; older
    versions name no kind.
    """
    late_interaction(folder)
    modules = json.loads((folder / "modules.json").read_text())[:2]
    modules[1]["type"] = "pylate.models.Dense.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    dense = folder / modules[1]["path"] / "config.json"
    kept = {
        key: value
        for key, value in json.loads(dense.read_text()).items()
        if not key.startswith("module_")
    }
    dense.write_text(json.dumps(kept))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 63, "do_lower_case": False})
    )
    settings = {
        "query_prefix": "how ",
        "document_prefix": "what ",
        "query_length": 8,
        "document_length": 24,
        "skiplist_words": SKIPPED,
    }
    settings |= {
        "attend_to_expansion_tokens": False,
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "MaxSim",
    }
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps(settings | ({"model_type": kind} if kind else {}))
    )
    return folder


def stanford(folder: Path) -> Path:
    """The same as Stanford's ColBERT saves it: one file of weights, the projection among them."""
    from safetensors.torch import load_file, save_file

    native = late_interaction(folder.with_name(f"{folder.name}-native"))
    dense = next(native.glob("*Dense"))
    tiny_models.bert_encoder(folder)
    weights = {
        f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()
    }
    weights["linear.weight"] = load_file(dense / "model.safetensors")["linear.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tiny_models.edit_json(folder / "config.json", architectures=["HF_ColBERT"])
    settings = {
        "query_token_id": "how",
        "doc_token_id": "what",
        "doc_maxlen": 24,
        "query_maxlen": 8,
        "mask_punctuation": False,
    }
    (folder / "artifact.metadata").write_text(
        json.dumps(settings | {"attend_to_mask_tokens": False})
    )
    return folder
