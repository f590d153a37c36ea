"""Checkpoints that would score without complaint, but not mean anything: recognised by what they
hold, never by their name.
"""

from __future__ import annotations

from typing import Any

from bench.contract.identity import Checkpoint
from bench.core.errors import RerankerError
from bench.models import sentence_transformer
from bench.models.options import NetworkOptions
from bench.models.quiet import quiet
from bench.models.weights import Weights

_UNTRAINED: dict[tuple[Checkpoint, type, str], frozenset[str]] = {}
"""Weights, class and configuration -> the names of parameters that these weights do not hold."""
T5_KINDS = ("t5", "mt5", "umt5")
_WRITERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""How the names of architectures end that write text."""
_CROSS_ENCODER = "the cross-encoder backend"
_BI_ENCODER = "the bi-encoder backend"
_NO_BACKEND = "a backend that is not here"


def configuration(weights: Weights, options: NetworkOptions) -> Any:
    """Return the checkpoint's configuration, read before its weights are."""
    from transformers import AutoConfig

    folder = weights.fetch()
    with quiet(), sentence_transformer.explained(weights):
        return AutoConfig.from_pretrained(
            folder, trust_remote_code=options.trust_remote_code, local_files_only=True
        )


def refuse_configuration(weights: Weights, options: NetworkOptions) -> None:
    """Raise RerankerError for a checkpoint that would get a random head, before its weights are
    read.
    """
    config = configuration(weights, options)
    if not config.is_encoder_decoder or _is(config, "ForSequenceClassification"):
        return
    needs = "no backend here can score with it"
    if config.model_type in T5_KINDS:
        needs = "it needs a monot5 or rankt5 backend, not cross-encoder"
    raise RerankerError(
        f"{options.model}: a {config.model_type} text-to-text checkpoint has no classification "
        f"head; {needs}"
    )


def refuse_other_than_t5(weights: Weights, options: NetworkOptions, backend: str) -> None:
    """Raise RerankerError for what is no text-to-text T5, before its weights are read, and name the
    backend that it needs.

    T5Model passes, as some monoT5 checkpoints call themselves: their output layer is the embedding
    matrix, so that they lack nothing.
    """
    config = configuration(weights, options)
    needs = _NO_BACKEND
    if _is(config, "ForSequenceClassification") or _is(config, "ForCausalLM"):
        needs = _CROSS_ENCODER
    elif not config.is_encoder_decoder or _is(config, "EncoderModel"):
        needs = _BI_ENCODER
    elif config.model_type in T5_KINDS:
        return
    kind = (config.architectures or [config.model_type])[0]
    raise RerankerError(
        f"{options.model}: {kind} is not a T5 that answers with a token, which {backend} scores; "
        f"it needs {needs}"
    )


def refuse_other_than_causal(weights: Weights, options: NetworkOptions, backend: str) -> None:
    """Raise RerankerError for what writes no text of its own, before its weights are read, and name
    the backend that it needs.
    """
    config = configuration(weights, options)
    writes = any(_is(config, ending) for ending in _WRITERS)
    if writes and not config.is_encoder_decoder:
        return
    needs = _BI_ENCODER
    if config.model_type in T5_KINDS:
        needs = "a monot5 or rankt5 backend"
    elif _is(config, "ForSequenceClassification"):
        needs = _CROSS_ENCODER
    elif config.is_encoder_decoder:
        needs = _NO_BACKEND
    kind = (config.architectures or [config.model_type])[0]
    raise RerankerError(
        f"{options.model}: {kind} is not a causal language model, which {backend} asks; it needs "
        f"{needs}"
    )


def _is(config: Any, ending: str) -> bool:
    return any(name.endswith(ending) for name in config.architectures or ())


def refuse_model(model: Any, weights: Weights, options: NetworkOptions) -> None:
    """Raise RerankerError for what would score without complaint, but not mean anything."""
    network = model.transformers_model
    if getattr(network, "_hf_peft_config_loaded", False):
        raise RerankerError(
            f"{options.model}: a PEFT adapter; give its base as 'model' and this folder as "
            "'adapter'"
        )
    if model[0].transformer_task == "text-generation":
        _refuse_untemplated(model, options)
        return
    lacking = untrained(model, weights, options)
    if lacking:
        raise RerankerError(
            f"{options.model}: no trained classification head ({', '.join(sorted(lacking))} not "
            "in the weights): "
            "not a cross-encoder; a bi-encoder needs the bi-encoder backend"
        )


def _refuse_untemplated(model: Any, options: NetworkOptions) -> None:
    if getattr(model.tokenizer, "chat_template", None) is None:
        raise RerankerError(
            f"{options.model}: a causal language model without a chat template: query and "
            "document would be run together, uninstructed"
        )
    try:
        model.preprocess([("query", "document")])
    except ValueError as error:
        raise RerankerError(f"{options.model}: {str(error).partition('. ')[0]}") from error


def refuse_unread(model: Any, spec: str, *, prompt: str | None, instruction: str | None) -> None:
    """Raise RerankerError for a prompt or an instruction that a loaded CrossEncoder would not read
    as what it is.

    A language model's instruction is the system message of its chat template; a classifier's prompt
    comes before the query.
    """
    is_chat = "message" in model[0].modality_config
    if prompt and is_chat:
        raise RerankerError(
            f"{spec}: a prompt comes before a query, but this language model takes an "
            "'instruction' instead"
        )
    if instruction and not is_chat:
        raise RerankerError(
            f"{spec}: a classifier takes no instruction; text that comes before its queries is "
            "its 'prompt'"
        )
    if instruction:
        inputs = [
            model.preprocess([("a", "b")], prompt=text)["input_ids"].tolist()
            for text in (instruction, f"not {instruction}")
        ]
        if inputs[0] == inputs[1]:
            raise RerankerError(
                f"{spec}: its chat template has no place for an instruction (it ignores the "
                "system message)"
            )


def untrained(model: Any, weights: Weights, options: NetworkOptions) -> set[str]:
    """Return the names of parameters that the checkpoint does not hold: the library drew them at
    random.

    Asks transformers' own loading report, on the meta device, where no weight is read or allocated:
    once per process, since that takes as long as a small model takes to load.
    """
    network = model.transformers_model
    if network.base_model is network:
        # an encoder whose head is a module of its own, which loads all of its weights or fails
        return set()
    decided_by = (weights.checkpoint(), type(network), network.config.to_json_string())
    if decided_by not in _UNTRAINED:
        _UNTRAINED[decided_by] = _missing(network, weights, options)
    return set(_UNTRAINED[decided_by])


def _missing(network: Any, weights: Weights, options: NetworkOptions) -> frozenset[str]:
    """Return the names of a network's parameters that its weights do not hold."""
    with quiet(), sentence_transformer.explained(weights):
        _, report = type(network).from_pretrained(
            weights.fetch(),
            config=network.config,
            trust_remote_code=options.trust_remote_code,
            local_files_only=True,
            weights_only=True,
            device_map="meta",
            output_loading_info=True,
        )
    return frozenset(report["missing_keys"])


def refuse_other_tokenizer(network: Any, tokenizer: Any, spec: str) -> None:
    """Raise RerankerError for a tokenizer with more tokens than the network has embeddings: it
    belongs to another model.

    Fewer are usual, since many tables are padded to a round number. Tokens that were added later
    are not counted: some tokenizers name a padding token that their network has no row for and
    never sees.
    """
    rows = int(network.get_input_embeddings().weight.shape[0])
    tokens = int(tokenizer.vocab_size)
    if tokens > rows:
        raise RerankerError(
            f"{spec}: its tokenizer has {tokens} tokens and its network embeddings of {rows}: "
            "they belong to different models"
        )
