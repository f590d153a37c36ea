"""What the cross-encoder and the bi-encoder share: loading through sentence-transformers, and
saying what loaded.

torch, transformers and sentence-transformers are imported inside the functions, when a model is
loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from bench.contract.identity import Checkpoint, Identity
from bench.contract.requirement import Package, Requirement
from bench.core.errors import BenchError, Unavailable, first_line
from bench.core.note import Code, Note, note
from bench.machine import cpu
from bench.machine.fingerprint import usable_cores
from bench.models import hub, packing, seen_queries, tiny
from bench.models.options import NetworkOptions, PromptOptions
from bench.models.quiet import quiet
from bench.models.weights import Weights, versions

LIBRARIES = ("sentence-transformers", "transformers", "torch")
INSTRUCTIONS = {
    "bfloat16": ("avx512_bf16", "amx_bf16", "bf16"),
    "float16": ("avx512_fp16", "amx_fp16", "asimdhp"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp"),
}
"""The CPU flags of which one makes a number format fast: x86's, then ARM's."""


def requirements(options: NetworkOptions, weights: Weights, device: str) -> list[Requirement]:
    """Return what a local model needs: libraries, a device, its weights."""
    requirements: list[Requirement] = [
        Package("torch", weights.extra),
        Package("sentence_transformers", weights.extra),
    ]
    if options.attention == "flash_attention_2" and find_spec("kernels") is None:
        fix = "pip install flash-attn, or choose attention: sdpa"
        requirements.append(Package("flash_attn", fix=fix))
    requirements.append(Device(device))
    if options.is_packed:
        requirements.append(packing.VariableLength(device, options.dtype))
    return [*requirements, weights]


@dataclass(frozen=True)
class Device(Requirement):
    """A torch device. torch is imported only where it is to be asked for an accelerator."""

    name: str

    def require(self) -> None:
        kind, _, index = self.name.partition(":")
        if kind == "cpu":
            return
        import torch

        count = 0
        if kind == "cuda":
            count = torch.cuda.device_count()
        elif kind == "mps":
            count = int(torch.backends.mps.is_available())
        if count <= int(index or 0):
            absent = self.name if count else kind
            raise Unavailable(f"no {absent} device", "run on another device, such as cpu")


def identity(
    backend: str,
    options: NetworkOptions,
    checkpoint: Checkpoint,
    device: str,
    libraries: Sequence[str] = LIBRARIES,
    more: Mapping[str, object] | None = None,
) -> Identity:
    """Return the identity of a local model before it loads. `more` are fields of the fingerprint
    next to its options; the kind of device is one of them.
    """
    known = {"device": device.partition(":")[0], **(more or {})}
    return Identity.of(backend, options, checkpoint, versions(*libraries), known)


def load(
    kind: str,
    options: NetworkOptions,
    weights: Weights,
    device: str,
    dtype: str | None = None,
    **more: Any,
) -> Any:
    """Return a CrossEncoder or SentenceTransformer in evaluation mode. Raises RerankerError or
    Unavailable, in one line.

    Weights are read from safetensors where there are any, else from pickled files, of which the
    libraries read tensors alone (torch's `weights_only`).
    """
    import sentence_transformers
    import torch

    folder = weights.fetch()
    model_kwargs = {"dtype": getattr(torch, dtype or options.dtype), "weights_only": True}
    if options.attention_implementation:
        model_kwargs["attn_implementation"] = options.attention_implementation
    with quiet(), explained(weights):
        model = getattr(sentence_transformers, kind)(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=options.trust_remote_code,
            model_kwargs=model_kwargs,
            **more,
        )
        model.eval()
    return model


@contextmanager
def explained(weights: Weights) -> Iterator[None]:
    """Turn whatever goes wrong while weights are read into one line of ours."""
    try:
        yield
    except (BenchError, MemoryError):
        raise
    except ImportError as error:
        reason = "a package is missing"
        if error.name:
            reason = f"{error.name} not installed"
        raise Unavailable(reason, first_line(error)) from error
    except Exception as error:  # the libraries document no common base class for what they raise
        raise hub.explain(error, weights.label, weights.revision, weights.place()) from error


def number_formats(model: Any) -> list[str]:
    """Return the number formats of a model's weights."""
    return sorted({str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()})


def prompts(model: Any, options: PromptOptions) -> dict[str, str | None]:
    """Return the texts that a model puts before a query and a document, by option; None for none.
    An option goes before the model's own.
    """
    prompts: dict[str, str | None] = {}
    for task, prompt in (("query", options.query_prompt), ("document", options.document_prompt)):
        if prompt is None:
            prompt = model.prompts.get(task)
        prompts[f"{task}_prompt"] = prompt or None
    return prompts


def facts(model: Any, options: NetworkOptions, weights: Weights) -> dict[str, Any]:
    """Return what a reader wants to know next to the identity, read back from a loaded model."""
    import torch

    parameters = list(model.parameters())
    # a sentence-transformers model, or a bare network
    network = getattr(model, "transformers_model", model)
    source: dict[str, str | bool] = {"source": weights.label}
    if tiny.is_tiny(weights.spec):
        source["random_weights"] = True
    notes = slow_arithmetic(options.dtype, parameters[0].device.type)
    notes += seen_queries.notes_of(seen_queries.folders_of(weights))
    return {
        **source,
        "class": type(network).__name__,
        "model_type": getattr(model.config, "model_type", None),
        "parameters": sum(parameter.numel() for parameter in parameters),
        "vocabulary": getattr(model.config, "vocab_size", None),
        "device": str(parameters[0].device),
        "attention": attention_of(model, options),
        "threads": thread_count(options),
        "warnings": [note.to_dict() for note in notes],
        "trust_remote_code": options.trust_remote_code,
        "torch_build": torch.__version__,
    }


def attention_of(model: Any, options: NetworkOptions) -> str | None:
    """Return what computes a loaded model's attention: transformers' name of it, or `packed`."""
    if options.is_packed:
        return "packed"
    kernel: str | None = getattr(model.config, "_attn_implementation", None)
    return kernel


def thread_count(options: NetworkOptions) -> int:
    """Return the number of CPU threads inside one operation: those of the options, or torch's own,
    of which no more than this process may keep busy. torch heeds its affinity, not the quota of its
    control group.
    """
    import torch

    return options.threads or min(int(torch.get_num_threads()), usable_cores())


def slow_arithmetic(dtype: str, device: str) -> list[Note]:
    """Return a warning for a number format that this CPU has no instructions for: converting back
    and forth costs more than it saves.
    """
    wanted = INSTRUCTIONS.get(dtype, ())
    has = cpu.instructions()
    if device != "cpu" or not wanted or has is None or set(wanted) & set(has):
        return []
    return [note(Code.SLOW_FORMAT, dtype=dtype, instruction=wanted[0])]


@contextmanager
def torch_settings(options: NetworkOptions) -> Iterator[None]:
    """Have torch compute with the threads and the attention kernels of these options, float32 in
    float32, and as before afterwards.
    """
    with (
        threads(thread_count(options)),
        cudnn_attention(allowed=options.attention == "cudnn"),
        whole_float32(),
    ):
        yield


@contextmanager
def whole_float32() -> Iterator[None]:
    """Have products of float32 be of all its digits, whatever the program around us allows: TF32 or
    bfloat16 in their place would give scores that are cached and compared as float32's. Source:
    PyTorch's documentation, `torch.set_float32_matmul_precision` and "Numerical accuracy".
    """
    import torch

    # torch before 2.9 has the one name for all of it
    parts: list[Any] = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)]
    parts = [part for part in parts if hasattr(part, "fp32_precision")]
    precisions = [part.fp32_precision for part in parts]
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # it does not tell a program that has set the parts
        before = "highest"
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for part, precision in zip(parts, precisions, strict=True):
            part.fp32_precision = precision


@contextmanager
def cudnn_attention(*, allowed: bool) -> Iterator[None]:
    """Let torch's `scaled_dot_product_attention` use cuDNN's kernels, or not.

    torch prefers them on Hopper and newer cards in float16 and bfloat16, and cuDNN plans them anew
    for each shape of a batch: 80 ms on an H200, where a query of a small cross-encoder takes 10.
    A reranker meets a new shape with nearly every query. Source: pytorch/pytorch#155958.
    """
    import torch

    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(allowed)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Have torch use this number of threads inside one operation, and as many as before
    afterwards.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def free(device: str) -> None:
    """Give an accelerator's unused memory back."""
    if device.startswith("cuda"):
        import gc

        import torch

        gc.collect()
        torch.cuda.empty_cache()
