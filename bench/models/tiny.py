"""`tiny:KIND`: models with random weights and real tokenizers, made on this machine, for trying a
suite's wiring without downloads.

They load, score, cache and are timed as real ones are, and know nothing: the order they give means
nothing, and every row says so. The same kind has the same weights wherever the libraries are the
same, since its seed is fixed; its identity is the hash of its content.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.core.cache_dir import VARIABLE, cache_dir
from bench.core.errors import RerankerError, Unavailable, nearest
from bench.core.kept_folder import is_intact, keep
from bench.core.version import version_of

PREFIX = "tiny:"
MAX_LENGTH = 512
CHAT_LENGTH = 32768
EDITION = 1
"""Counts up when a builder changes, so that a cached model of the old kind is not taken for the new
one.
"""
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
_WIDE = 0.5  # weights so far apart that scores differ visibly between pairs
_TEXT = (
    "the a of to and in is cat dog sat mat fish tea hot cold river bank money how what why "
    "long does rain sun moon run"
)
WORDS = _TEXT.split()
_CHARACTERS = [
    *"abcdefghijklmnopqrstuvwxyz0123456789.,?!'-",
    "é",
    "ש",
    "ל",
    "ו",
    "ם",
    "م",
    "ر",
    "ح",
    "😀",
]
_WORDPIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *WORDS,
    *_CHARACTERS,
    *(f"##{c}" for c in _CHARACTERS),
]
JUDGE_TEMPLATE = (
    "judge: {{ (messages | selectattr('role', 'eq', 'query') | first).content }} "
    "text: {{ (messages | selectattr('role', 'eq', 'document') | first).content }} answer:"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content "
    "}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def is_tiny(spec: str) -> bool:
    """Return whether a model's name is that of a model with random weights."""
    return spec.startswith(PREFIX)


def folder(spec: str) -> Path:
    """Return the folder of `tiny:KIND`, made in the cache folder on first use: whole, or not there.

    Raises RerankerError for an unknown kind or a cache that cannot be written, Unavailable without
    the libraries.
    """
    from importlib.metadata import PackageNotFoundError

    kind = known(spec)
    try:
        libraries = "-".join(
            version_of(package) for package in ("transformers", "sentence-transformers")
        )
    except PackageNotFoundError as error:
        raise Unavailable(
            f"{error.name} not installed", "pip install 'rerank-bench[local]'"
        ) from error
    place = cache_dir("tiny", f"{kind}-{EDITION}-{libraries}")
    try:
        if not is_intact(place):
            keep(place, KINDS[kind])
    except OSError as error:
        raise RerankerError(
            f"{spec}: cannot be kept in {place.parent}: {error.strerror or error}; name another "
            f"folder by {VARIABLE}"
        ) from error
    return place


def known(spec: str) -> str:
    """Return the kind behind `tiny:KIND`. Raises RerankerError naming the nearest one."""
    kind = spec.removeprefix(PREFIX)
    if kind not in KINDS:
        raise RerankerError(f"there is no tiny model '{kind}': {nearest(kind, KINDS)}")
    return kind


def bert_config(max_length: int = MAX_LENGTH, **changes: Any) -> Any:
    from transformers import BertConfig

    defaults = {
        "vocab_size": len(_WORDPIECES),
        "max_position_embeddings": max_length,
        "num_labels": 1,
        "initializer_range": _WIDE,
    }
    return BertConfig(**(_SIZES | defaults | changes))


def bert_tokenizer(max_length: int = MAX_LENGTH) -> Any:
    """Return a WordPiece tokenizer: a few words, and every other one letter by letter."""
    from transformers import BertTokenizerFast

    return BertTokenizerFast(
        vocab={word: i for i, word in enumerate(_WORDPIECES)}, model_max_length=max_length
    )


def bert_cross_encoder(
    folder: Path, *, seed: int = 0, max_length: int = MAX_LENGTH, **config: Any
) -> Path:
    """Return a cross-encoder as the hub's older ones: a sequence classifier and its tokenizer."""
    from transformers import BertForSequenceClassification

    return _save(
        folder,
        BertForSequenceClassification,
        bert_config(max_length, **config),
        bert_tokenizer(max_length),
        seed,
    )


def bert_encoder(
    folder: Path, *, seed: int = 0, max_length: int = MAX_LENGTH, **config: Any
) -> Path:
    """Return a plain encoder: no classification head, no pooling."""
    from transformers import BertModel

    return _save(
        folder, BertModel, bert_config(max_length, **config), bert_tokenizer(max_length), seed
    )


def xlmr_cross_encoder(folder: Path, *, seed: int = 0, max_length: int = MAX_LENGTH) -> Path:
    """Return a cross-encoder of the kind of the BGE rerankers: positions counted from the padding
    index on, a sentencepiece tokenizer.
    """
    from transformers import (
        XLMRobertaConfig,
        XLMRobertaForSequenceClassification,
        XLMRobertaTokenizerFast,
    )

    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [
        *specials,
        *((f"▁{word}", -2.0) for word in WORDS),
        ("▁", -3.0),
        *((c, -4.0) for c in _CHARACTERS),
        ("<mask>", 0.0),
    ]
    tokenizer = XLMRobertaTokenizerFast(vocab=pieces, model_max_length=max_length)
    config = XLMRobertaConfig(
        **_SIZES,
        vocab_size=len(tokenizer),
        type_vocab_size=1,
        max_position_embeddings=max_length + 2,
        num_labels=1,
        initializer_range=_WIDE,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    return _save(folder, XLMRobertaForSequenceClassification, config, tokenizer, seed)


def bi_encoder(
    folder: Path,
    *,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
    prompts: dict[str, str] | None = None,
) -> Path:
    """Return a SentenceTransformer with mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    base = bert_encoder(folder.with_name(f"{folder.name}-base"), seed=seed, max_length=max_length)
    with quiet():
        transformer = Transformer(str(base))
        pooling = Pooling(transformer.get_embedding_dimension(), "mean")
        SentenceTransformer(modules=[transformer, pooling], device="cpu", prompts=prompts).save(
            str(folder), create_model_card=False
        )
    return folder


def late_interaction(
    folder: Path,
    *,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
    prompts: dict[str, str] | None = None,
    skipped: list[str] | None = None,
    **limits: Any,
) -> Path:
    """Return a multi-vector encoder as sentence-transformers saves it. `limits` are query_length,
    document_length and query_expansion.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize

    base = bert_encoder(folder.with_name(f"{folder.name}-base"), seed=seed, max_length=max_length)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = Transformer(str(base), **limits)
        dense = Dense(
            32,
            16,
            bias=False,
            activation_function=torch.nn.Identity(),
            module_input_name="token_embeddings",
        )
        modules = [
            transformer,
            dense,
            MultiVectorMask(skiplist_words=skipped),
            Normalize(module_input_name="token_embeddings"),
        ]
        MultiVectorEncoder(modules=modules, device="cpu", prompts=prompts).save_pretrained(
            str(folder), create_model_card=False
        )
    return folder


def splade(
    folder: Path,
    *,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
    prompts: dict[str, str] | None = None,
) -> Path:
    """Return a sparse encoder: a weight per piece of the vocabulary, by a masked language model."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
    from transformers import BertForMaskedLM

    tokenizer = bert_tokenizer(max_length)
    # a weight per piece that the tokenizer knows: one is listed twice
    config = bert_config(max_length, vocab_size=len(tokenizer))
    base = folder.with_name(f"{folder.name}-base")
    _save(base, BertForMaskedLM, config, tokenizer, seed)
    with quiet():
        modules = [MLMTransformer(str(base)), SpladePooling("max")]
        SparseEncoder(modules=modules, device="cpu", prompts=prompts).save_pretrained(
            str(folder), create_model_card=False
        )
    return folder


def t5_tokenizer(max_length: int = MAX_LENGTH) -> Any:
    """Return a SentencePiece tokenizer as T5's: words with their space, letters, and a hundred
    tokens to spare.
    """
    from transformers import T5TokenizerFast

    words = [*WORDS, "true", "false", "yes", "no", "Query", "Document", "Relevant"]
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -3.0),
        *((f"▁{word}", -2.0) for word in words),
    ]
    letters = [*_CHARACTERS, *"QDR:"]
    return T5TokenizerFast(
        vocab=[*pieces, *((c, -4.0) for c in letters)], extra_ids=100, model_max_length=max_length
    )


def t5(
    folder: Path,
    *,
    seed: int = 0,
    kind: str = "T5",
    head: str = "ForConditionalGeneration",
    max_length: int = MAX_LENGTH,
) -> Path:
    """Return a text-to-text checkpoint, as monoT5's and RankT5's are. `kind` is T5 or MT5, `head`
    the end of the class's name.
    """
    import transformers

    tokenizer = t5_tokenizer(max_length)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
    )
    return _save(folder, getattr(transformers, f"{kind}{head}"), config, tokenizer, seed)


def byte_tokenizer(max_length: int, chat_template: str | None) -> Any:
    """Return a byte-level tokenizer as Qwen's: a few words whole, every other text byte by byte, so
    that nothing is unknown.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["yes", "no", "judge", "text", "answer", *WORDS]
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    spaced = [
        f"Ġ{word}" for word in words
    ]  # byte-level tokenizers write the space before a word so
    pieces = dict.fromkeys(
        [*specials, *words, *spaced, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    )
    backend = Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], ignore_merges=True
        )
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=specials[0],
        eos_token=specials[2],
        additional_special_tokens=[specials[1]],
        model_max_length=max_length,
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def qwen3(
    folder: Path,
    *,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
    chat_template: str | None = JUDGE_TEMPLATE,
) -> Path:
    """Return a causal reranker, which answers yes or no; without a chat template it is a plain
    language model.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = byte_tokenizer(max_length, chat_template)
    config = Qwen3Config(
        **_SIZES,
        vocab_size=len(tokenizer),
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=max_length,
        initializer_range=_WIDE,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return _save(folder, Qwen3ForCausalLM, config, tokenizer, seed)


def chat(folder: Path, *, seed: int = 0, max_length: int = CHAT_LENGTH) -> Path:
    """Return a causal language model that is talked to, as listwise rerankers are; what it writes
    is noise.
    """
    return qwen3(folder, seed=seed, max_length=max_length, chat_template=CHAT_TEMPLATE)


def quiet() -> Any:
    """Keep the libraries' progress bars and reports off the terminal."""
    from bench.models.quiet import quiet as quiet_libraries

    return quiet_libraries()


def _save(folder: Path, kind: Any, config: Any, tokenizer: Any, seed: int) -> Path:
    import torch

    from bench.models.saving import saving

    with quiet(), saving(folder), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind(config).eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _t5(seed: int) -> Callable[[Path], Path]:
    return lambda folder: t5(folder, seed=seed)


KINDS: dict[str, Callable[[Path], object]] = {
    "bert-cross-encoder": bert_cross_encoder,
    "xlmr-cross-encoder": xlmr_cross_encoder,
    "qwen3-reranker": qwen3,
    "bert-bi-encoder": bi_encoder,
    "colbert": late_interaction,
    "splade": splade,
    "monot5": t5,
    "rankt5": _t5(1),
    "chat": chat,
}
