"""Tiny random models of more kinds than `tiny:KIND` knows, and those of 64 tokens, so that a test's
long texts are long for them.

Each builder saves into `folder`, as the real ones are saved, and returns it.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from bench.models import tiny
from bench.models.tiny import quiet as quiet

MAX_LENGTH = 64
bert_tokenizer = partial(tiny.bert_tokenizer, MAX_LENGTH)
bert_config = partial(tiny.bert_config, MAX_LENGTH)
bert_cross_encoder = partial(tiny.bert_cross_encoder, max_length=MAX_LENGTH)
bert_encoder = partial(tiny.bert_encoder, max_length=MAX_LENGTH)
bi_encoder = partial(tiny.bi_encoder, max_length=MAX_LENGTH)
splade = partial(tiny.splade, max_length=MAX_LENGTH)
xlmr_cross_encoder = partial(tiny.xlmr_cross_encoder, max_length=MAX_LENGTH)
t5_tokenizer = partial(tiny.t5_tokenizer, MAX_LENGTH)
t5 = partial(tiny.t5, max_length=MAX_LENGTH)
qwen3 = partial(tiny.qwen3, max_length=MAX_LENGTH)


def modular_cross_encoder(folder: Path, **config: Any) -> Path:
    """A cross-encoder as sentence-transformers has saved them since version 5.4: an encoder, CLS
    pooling, and a dense head of its own. `config` changes the encoder's.
    """
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    base = bert_encoder(folder.with_name(f"{folder.name}-base"), **config)
    with quiet():
        torch.manual_seed(0)
        transformer = Transformer(str(base))
        pooling = Pooling(transformer.get_embedding_dimension(), "cls")
        head = Dense(
            pooling.get_embedding_dimension(),
            1,
            activation_function=torch.nn.Identity(),
            module_output_name="scores",
        )
        CrossEncoder(modules=[transformer, pooling, head], device="cpu").save_pretrained(
            str(folder), create_model_card=False
        )
    return folder


def terse_chat(folder: Path) -> Path:
    """A chat model any of whose tokens ends its answer: a thousand passages take five hundred
    windows, and no time.
    """
    tiny.chat(folder)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    edit_json(folder / "generation_config.json", eos_token_id=list(range(vocabulary)))
    return folder


def lora_adapter(folder: Path, base: Path, *, seed: int = 1, with_head: bool = True) -> Path:
    """A PEFT LoRA adapter for `bert_encoder`, with a classification head unless told otherwise. Its
    weights are random, not zero.
    """
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoModelForSequenceClassification

    with quiet():
        network = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
        task, heads = (TaskType.SEQ_CLS, ["classifier"]) if with_head else (None, None)
        config = LoraConfig(
            r=4,
            lora_alpha=8,
            target_modules=["query", "value"],
            task_type=task,
            modules_to_save=heads,
        )
        adapted = get_peft_model(network, config)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        adapted.save_pretrained(folder)
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file in place."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def classifier(folder: Path, kind: str, **changes: Any) -> Path:
    """A cross-encoder of another architecture: `kind` is how transformers spells it, such as
    ModernBert, DebertaV2 or Electra.
    """
    import torch
    import transformers

    tokenizer = bert_tokenizer()
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": MAX_LENGTH,
    }
    tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
    }
    config = getattr(transformers, f"{kind}Config")(
        **(sizes | tokens | {"num_labels": 1, "initializer_range": 0.5} | changes)
    )
    with quiet():
        torch.manual_seed(0)
        network = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
        for parameter in (
            network.parameters()
        ):  # some architectures scale their own way; scores must differ visibly
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
