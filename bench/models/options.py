"""What a suite may say about a model that is loaded here, whatever stage it serves. Imports nothing
heavier than pydantic.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.core.numeric import MOST_THREADS
from bench.core.options import StageOptions, option

DType = Literal["float32", "bfloat16", "float16"]


class NetworkOptions(StageOptions):
    """What every stage with weights of its own takes: which they are, and how they are loaded."""

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
        le=MOST_THREADS,
        decides="speed",
        description="CPU threads inside one operation; torch's own choice when absent",
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
    def is_packed(self) -> bool:
        """Whether the sequences of a batch are put end to end, without padding."""
        return False


class PromptOptions(NetworkOptions):
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
