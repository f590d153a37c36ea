"""What a suite may say about a reranker. Imports nothing heavier than pydantic, so that a suite is
validated in milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from bench.core.errors import ALMOST_SURE, nearest_of
from bench.core.options import StageOptions, option
from bench.datasets.families import MEMBERS
from bench.models.options import NetworkOptions, PromptOptions

Auto = Literal["auto"]
AnyDType = Literal["float32", "bfloat16", "float16", "int8"]
Runtime = Literal["torch", "onnx", "openvino"]
RUNTIMES: dict[str, tuple[str, ...]] = {
    "torch": ("float32", "bfloat16", "float16"),
    "onnx": ("float32",),
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

    trained_on: tuple[str, ...] | None = option(
        None,
        decides="nothing",
        description="families of collections that the model was trained on, such as msmarco: its "
        "results there are marked; [] for none; what the catalogue knows when absent",
    )

    @field_validator("trained_on")
    @classmethod
    def _no_slip_of_a_family(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Refuse what is almost the name of a family: nothing would be marked. Other names are of
        collections that no family is known of.
        """
        for name in value or ():
            close = nearest_of(name, MEMBERS, ALMOST_SURE)
            if name not in MEMBERS and close:
                raise ValueError(f"there is no family '{name}': did you mean '{close}'?")
        return value

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


class ModelOptions(NetworkOptions, RerankerOptions):
    """What every reranker with weights of its own takes."""

    weights: Literal["published", "random"] = option(
        "published",
        decides="scores",
        place="elsewhere",
        description="random: the architecture alone, built from the catalogue's facts and timed; "
        "it has no quality",
    )

    @property
    def engine(self) -> Runtime:
        """What computes the scores."""
        return "torch"

    @property
    def has_random_weights(self) -> bool:
        return self.weights == "random"


class EncoderOptions(PromptOptions, ModelOptions):
    """What a reranker takes that encodes query and document each on its own."""


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
        description="number format of the weights and of the arithmetic; int8 for openvino alone; "
        "bfloat16 on a CPU is that of the large products alone, for encoders of BERT's layout",
    )
    attention: Literal["sdpa", "cudnn", "eager", "flash_attention_2", "packed"] | None = option(  # type: ignore[assignment]
        None,
        decides="scores",
        place="arithmetic",
        description="attention kernel; the library's choice when absent. cudnn: sdpa with cuDNN's "
        "kernels, which are left out otherwise, since each new shape of a batch is planned anew; "
        "on a CPU there are none and it decides nothing. packed: no padding, the pairs of a batch "
        "end to end; on a CUDA device, in 16 bits, for encoders of BERT's layout",
    )
    token_budget: Annotated[int, Field(ge=1)] | Auto | None = option(  # type: ignore[assignment]
        None,
        decides="speed",
        description="tokens with padding per forward pass, 1024 on a CPU and 16384 on a GPU when "
        "absent; auto: the fastest that is tried when the model loads, on a CPU; batch_size goes "
        "before it",
    )
    workers: Annotated[int, Field(ge=1, le=256)] | Auto | None = option(
        None,
        decides="speed",
        description="batches that a CPU computes at a time, each with its share of the threads, 1 "
        "when absent; auto: the fastest that is tried when the model loads",
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

    @property
    def is_tuned(self) -> bool:
        """Whether the fastest setting is looked for when the model loads."""
        return "auto" in (self.workers, self.token_budget)

    @property
    def given_workers(self) -> int:
        """The number of workers; 1, the usual one, where it is looked for."""
        return 1 if self.workers == "auto" else self.workers or 1

    @property
    def given_budget(self) -> int | None:
        """The tokens per forward pass; None for the device's own, or where they are looked for."""
        return None if self.token_budget == "auto" else self.token_budget

    @property
    def is_packed(self) -> bool:
        return self.attention == "packed"

    @property
    def attention_implementation(self) -> str | None:
        return None if self.is_packed else super().attention_implementation

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
        if self.compile and self.workers is not None:
            raise ValueError("a compiled model serves one worker: leave out compile or workers")
        if self.batch_size and self.token_budget == "auto":
            raise ValueError("batch_size goes before token_budget: leave out one of the two")
        if self.weights == "random" and (self.workers or self.token_budget == "auto"):
            raise ValueError("random weights have no workers and no auto: leave them out")
        if self.is_packed and self.compile:
            raise ValueError("attention packed is not compiled: leave out one of the two")
        return self
