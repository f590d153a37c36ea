"""Tiny random models with real tokenizers, saved as the real ones are, so that the real loading code runs without a hub.

Weights are seeded and large enough that scores differ visibly between pairs. Each builder saves into `folder` and returns it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_LENGTH = 64
_TEXT = "the a of to and in is cat dog sat mat fish tea hot cold river bank money how what why long does rain sun moon run"
_WORDS = _TEXT.split()
_CHARACTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,?!'-", "é", "ש", "ל", "ו", "ם", "م", "ر", "ح", "😀"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS, *_CHARACTERS, *(f"##{c}" for c in _CHARACTERS)]


def bert_tokenizer(max_length: int = MAX_LENGTH) -> Any:
    """A WordPiece tokenizer: a few words, and every other one letter by letter."""
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab={word: i for i, word in enumerate(VOCABULARY)}, model_max_length=max_length)


def bert_config(**changes: Any) -> Any:
    from transformers import BertConfig

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    defaults = {"vocab_size": len(VOCABULARY), "max_position_embeddings": MAX_LENGTH, "num_labels": 1, "initializer_range": 0.5}
    return BertConfig(**(sizes | defaults | changes))


def bert_cross_encoder(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """A cross-encoder as the hub's older ones are: a sequence classifier and its tokenizer."""
    from transformers import BertForSequenceClassification

    return _save(folder, BertForSequenceClassification, bert_config(**config), bert_tokenizer(), seed)


def bert_encoder(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """A plain encoder: no classification head, no pooling."""
    from transformers import BertModel

    return _save(folder, BertModel, bert_config(**config), bert_tokenizer(), seed)


def bi_encoder(folder: Path, *, seed: int = 0, prompts: dict[str, str] | None = None) -> Path:
    """A SentenceTransformer with mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    base = bert_encoder(folder.with_name(f"{folder.name}-base"), seed=seed)
    with quiet():
        transformer = Transformer(str(base))
        pooling = Pooling(transformer.get_embedding_dimension(), "mean")
        SentenceTransformer(modules=[transformer, pooling], device="cpu", prompts=prompts).save(str(folder), create_model_card=False)
    return folder


def modular_cross_encoder(folder: Path, *, seed: int = 0) -> Path:
    """A cross-encoder as sentence-transformers has saved them since version 5.4: an encoder, CLS pooling, and a dense head of its own."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    base = bert_encoder(folder.with_name(f"{folder.name}-base"), seed=seed)
    with quiet():
        torch.manual_seed(seed)
        transformer = Transformer(str(base))
        pooling = Pooling(transformer.get_embedding_dimension(), "cls")
        head = Dense(pooling.get_embedding_dimension(), 1, activation_function=torch.nn.Identity(), module_output_name="scores")
        CrossEncoder(modules=[transformer, pooling, head], device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def xlmr_cross_encoder(folder: Path, *, seed: int = 0) -> Path:
    """A cross-encoder of the kind of the BGE rerankers: positions counted from the padding index on, a sentencepiece tokenizer."""
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaTokenizerFast

    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [*specials, *((f"▁{word}", -2.0) for word in _WORDS), ("▁", -3.0), *((c, -4.0) for c in _CHARACTERS), ("<mask>", 0.0)]
    tokenizer = XLMRobertaTokenizerFast(vocab=pieces, model_max_length=MAX_LENGTH)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, type_vocab_size=1,
        max_position_embeddings=MAX_LENGTH + 2, num_labels=1, initializer_range=0.5, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    return _save(folder, XLMRobertaForSequenceClassification, config, tokenizer, seed)


def t5_tokenizer(max_length: int = MAX_LENGTH) -> Any:
    """A SentencePiece tokenizer as T5's: words with their space, letters, and a hundred tokens to spare."""
    from transformers import T5TokenizerFast

    words = [*_WORDS, "true", "false", "yes", "no", "Query", "Document", "Relevant"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), *((f"▁{word}", -2.0) for word in words)]
    letters = [*_CHARACTERS, *"QDR:"]
    return T5TokenizerFast(vocab=[*pieces, *((c, -4.0) for c in letters)], extra_ids=100, model_max_length=max_length)


def t5(folder: Path, *, seed: int = 0, kind: str = "T5", head: str = "ForConditionalGeneration", max_length: int = MAX_LENGTH) -> Path:
    """A text-to-text checkpoint, as monoT5's and RankT5's are. `kind` is T5 or MT5, `head` the end of the class's name."""
    import transformers

    tokenizer = t5_tokenizer(max_length)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0
    )  # fmt: skip
    return _save(folder, getattr(transformers, f"{kind}{head}"), config, tokenizer, seed)


CHAT_TEMPLATE = (
    "judge: {{ (messages | selectattr('role', 'eq', 'query') | first).content }} "
    "text: {{ (messages | selectattr('role', 'eq', 'document') | first).content }} answer:"
)


def qwen3(folder: Path, *, seed: int = 0, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    """A causal reranker, which answers yes or no; without a chat template it is a plain language model."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    words = ["<pad>", "<unk>", "<eos>", "yes", "no", "judge", "text", "answer", *_WORDS, *_CHARACTERS, ":"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(dict.fromkeys(words))}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>", model_max_length=MAX_LENGTH
    )
    tokenizer.chat_template = chat_template
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=64,
        head_dim=16, max_position_embeddings=MAX_LENGTH, initializer_range=0.5, pad_token_id=0, eos_token_id=2, bos_token_id=None,
    )  # fmt: skip
    return _save(folder, Qwen3ForCausalLM, config, tokenizer, seed)


def lora_adapter(folder: Path, base: Path, *, seed: int = 1, with_head: bool = True) -> Path:
    """A PEFT LoRA adapter for `bert_encoder`, with a classification head unless told otherwise. Its weights are random, not zero."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoModelForSequenceClassification

    with quiet():
        network = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
        task, heads = (TaskType.SEQ_CLS, ["classifier"]) if with_head else (None, None)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"], task_type=task, modules_to_save=heads)
        adapted = get_peft_model(network, config)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        adapted.save_pretrained(folder)
    return folder


def pickled(folder: Path, source: Path) -> Path:
    """A copy of a model whose weights are pickled, as old checkpoints' are."""
    import shutil

    import torch
    from safetensors.torch import load_file

    shutil.copytree(source, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file in place."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def quiet() -> Any:
    """Keep the libraries' progress bars and reports out of test output."""
    from bench.rerankers.sbert import quiet as quiet_libraries

    return quiet_libraries()


def _save(folder: Path, kind: Any, config: Any, tokenizer: Any, seed: int) -> Path:
    import torch

    with quiet():
        torch.manual_seed(seed)
        kind(config).eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
