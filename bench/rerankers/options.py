"""What a suite may say about a reranker. Imports nothing heavier than pydantic, so that a suite is
validated in milliseconds.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, model_validator

from bench.core.options import StageOptions, option

DType = Literal["float32", "bfloat16", "float16"]
AnyDType = Literal["float32", "bfloat16", "float16", "int8"]
Runtime = Literal["torch", "onnx", "openvino"]
RUNTIMES: dict[str, tuple[str, ...]] = {
    "torch": ("float32", "bfloat16", "float16"),
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bfloat16", "int8"),
}
"""What can compute a model's logits, and in which number formats."""


class RerankerOptions(StageOptions):
    """What every reranker takes."""

    paths: ClassVar[tuple[str, ...]] = ()
    """The options that may name a file or folder, relative to the suite's folder."""

    name: str | None = option(
        None,
        decides="nothing",
        description="what tables call this row; needed where one reranker appears twice",
    )
    optional: bool = option(
        False,
        decides="nothing",
        description="leave the row out, with a note, where it cannot run; otherwise that is an "
        "error",
    )

    @property
    def has_random_weights(self) -> bool:
        """Whether the architecture alone is to be timed."""
        return False


def declared(options: Any) -> BaseModel:
    """Return options that say what they decide. An outsider's class may keep its own as it likes;
    what is no model declares nothing.
    """
    return options if isinstance(options, BaseModel) else RerankerOptions()


def shared(options: Any) -> RerankerOptions:
    """Return options with what every reranker takes: the defaults for an outsider's of another
    kind.
    """
    return options if isinstance(options, RerankerOptions) else RerankerOptions()


class ModelOptions(RerankerOptions):
    """What every reranker with weights of its own takes."""

    paths: ClassVar[tuple[str, ...]] = ("model", "adapter")

    model: str = option(
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="hub id, local folder, packaged:NAME, or tiny:KIND for random weights",
    )
    revision: str | None = option(
        None,
        decides="scores",
        place="elsewhere",
        description="commit, tag or branch of the hub model; a commit makes the run repeatable",
    )
    dtype: DType = option(
        "float32",
        decides="scores",
        place="arithmetic",
        description="number format of the weights and of the arithmetic",
    )
    max_length: int | None = option(
        None,
        ge=8,
        decides="scores",
        description="tokens of a query and a document together; the model's own limit when absent",
    )
    batch_size: int | None = option(
        None,
        ge=1,
        decides="speed",
        description="pairs (or texts) per forward pass; 32 when absent and there is no token "
        "budget",
    )
    threads: int | None = option(
        None,
        ge=1,
        decides="speed",
        description="CPU threads inside one operation; torch's own choice when absent",
    )
    weights: Literal["published", "random"] = option(
        "published",
        decides="scores",
        place="elsewhere",
        description="random: the architecture alone, built from the catalogue's facts and timed; "
        "it has no quality",
    )
    trust_remote_code: bool = option(
        False, decides="scores", description="run Python code that comes with the model; recorded"
    )
    attention: Literal["sdpa", "cudnn", "eager", "flash_attention_2"] | None = option(
        None,
        decides="scores",
        place="arithmetic",
        description="attention kernel; the library's choice when absent. cudnn: sdpa with cuDNN's "
        "kernels, which are left out otherwise, since each new shape of a batch is planned anew; "
        "on a CPU there are none and it decides nothing",
    )

    @property
    def attention_implementation(self) -> str | None:
        """transformers' name of the attention kernel; None for its own choice."""
        return "sdpa" if self.attention == "cudnn" else self.attention

    @property
    def engine(self) -> Runtime:
        """What computes the scores."""
        return "torch"

    @property
    def has_random_weights(self) -> bool:
        return self.weights == "random"


class EncoderOptions(ModelOptions):
    """What a model takes that encodes query and document each on its own."""

    query_prompt: str | None = option(
        None,
        decides="scores",
        description="text put before a query; the model's own when absent, none when empty",
    )
    document_prompt: str | None = option(
        None,
        decides="scores",
        description="text put before a document; the model's own when absent, none when empty",
    )


class PairOptions(ModelOptions):
    """What a model takes that reads query and document together."""

    token_budget: int | None = option(
        None,
        ge=1,
        decides="speed",
        description="tokens with padding per forward pass, 1024 on a CPU and 16384 on a GPU when "
        "absent; batch_size goes before it",
    )


class RuntimeOptions(PairOptions):
    """What a model takes that can be exported, and run by something other than torch."""

    runtime: Runtime = option(
        "torch",
        decides="scores",
        place="arithmetic",
        description="what computes the scores; the model is exported once",
    )
    dtype: AnyDType = option(  # type: ignore[assignment]
        "float32",
        decides="scores",
        place="arithmetic",
        description="number format of the weights and of the arithmetic; int8 for onnx and "
        "openvino alone",
    )
    compile: bool = option(
        False,
        decides="scores",
        place="arithmetic",
        added=True,
        description="torch.compile: for long runs on a GPU; on a CPU the first seconds cost more "
        "than they save",
    )

    @property
    def engine(self) -> Runtime:
        return self.runtime

    @model_validator(mode="after")
    def _fits_the_runtime(self) -> RuntimeOptions:
        formats = RUNTIMES[self.runtime]
        if self.dtype not in formats:
            raise ValueError(
                f"runtime {self.runtime} has no dtype {self.dtype}; it has {', '.join(formats)}"
            )
        if self.runtime != "torch" and (self.compile or self.attention):
            raise ValueError(
                f"compile and attention are settings of runtime torch, not of {self.runtime}"
            )
        return self
