"""What a suite may say about a reranker. Imports nothing heavier than pydantic, so that a suite is
validated in milliseconds.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from bench.core.options import Options

DType = Literal["float32", "bfloat16", "float16"]
AnyDType = Literal["float32", "bfloat16", "float16", "int8"]
Runtime = Literal["torch", "onnx", "openvino"]
RUNTIMES: dict[str, tuple[str, ...]] = {
    "torch": ("float32", "bfloat16", "float16"),
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bfloat16", "int8"),
}
"""What can compute a model's logits, and in which number formats."""


class RerankerOptions(Options):
    """What every reranker takes."""

    paths: ClassVar[tuple[str, ...]] = ()
    """The options that may name a file or folder: a relative one is looked for beside the suite."""

    name: str | None = Field(
        None, description="what tables call this row; needed where one reranker appears twice"
    )
    optional: bool = Field(
        False,
        description="leave the row out, with a note, where it cannot run; otherwise that is an "
        "error",
    )


class ModelOptions(RerankerOptions):
    """What every reranker with weights of its own takes."""

    paths: ClassVar[tuple[str, ...]] = ("model", "adapter")

    model: str = Field(
        min_length=1,
        description="hub id, local folder, packaged:NAME, or tiny:KIND for random weights",
    )
    revision: str | None = Field(
        None,
        description="commit, tag or branch of the hub model; a commit makes the run repeatable",
    )
    dtype: DType = Field(
        "float32", description="number format of the weights and of the arithmetic"
    )
    max_length: int | None = Field(
        None,
        ge=8,
        description="tokens of a query and a document together; the model's own limit when absent",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="pairs (or texts) per forward pass; 32 when absent and there is no token "
        "budget",
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads inside one operation; torch's own choice when absent"
    )
    weights: Literal["published", "random"] = Field(
        "published",
        description="random: the architecture alone, built from the catalogue's facts and timed; "
        "it has no quality",
    )
    trust_remote_code: bool = Field(
        False, description="run Python code that comes with the model; recorded"
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] | None = Field(
        None, description="attention kernel; the library's choice when absent"
    )


class PairOptions(ModelOptions):
    """What a model takes that reads query and document together."""

    token_budget: int | None = Field(
        None,
        ge=1,
        description="tokens with padding per forward pass, 1024 on a CPU and 16384 on a GPU when "
        "absent; batch_size stands above it",
    )


class RuntimeOptions(PairOptions):
    """What a model takes that can be exported, and run by something other than torch."""

    runtime: Runtime = Field(
        "torch", description="what computes the scores; the model is exported once"
    )
    dtype: AnyDType = Field(  # type: ignore[assignment]
        "float32",
        description="number format of the weights and of the arithmetic; int8 for onnx and "
        "openvino alone",
    )
    compile: bool = Field(
        False,
        description="torch.compile: for long runs on a GPU; on a CPU the first seconds cost more "
        "than they save",
    )

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
