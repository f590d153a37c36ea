"""`weights: random`: a known reranker's network without its weights, timed on made-up tokens as
many as the texts have.

A latency before any download, and nothing else: its order means nothing, so that it is never scored
and never gets a quality. What runs is what the trained model would run: batches of like lengths,
the last layer for the first token alone where a classifier reads no other, one decoder step of a
text-to-text model, every window and every written token of a listwise one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.catalogue import entries
from bench.catalogue.entries import Architecture
from bench.contract.identity import Arithmetic, Identity
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Usage
from bench.contract.requirement import Package, Requirement
from bench.contract.stage import Description
from bench.core.counting import percent
from bench.core.errors import RerankerError, SuiteError, Unavailable
from bench.machine.memory import available_bytes
from bench.models import batches, networks, sentence_transformer
from bench.models.quiet import quiet
from bench.models.weights import versions
from bench.rerankers.base import BaseReranker, split_scores
from bench.rerankers.listwise.prompts import messages
from bench.rerankers.listwise.sliding_window import TOKENS_PER_PLACE, Sorting
from bench.rerankers.random.network import RandomNetwork
from bench.rerankers.random.text_lengths import TextLengths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.contract.request import Outcome, Scores

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ROOM = 1.2
"""The weights and the activations, as a multiple of the weights."""
SHARE = 0.7
"""Of the memory that is free, what a network may take: a machine at its limit times nothing but its
own swapping.
"""


def of_entry(name: str, options: Any, device: str) -> ArchitectureReranker:
    """Return the architecture of a catalogue entry, nothing built yet. Raises SuiteError for a
    reranker whose architecture is not known.
    """
    catalogue = entries.load()
    known = [key for key, entry in catalogue.items() if entry.facts.architecture]
    if name not in known:
        raise SuiteError(
            f"reranker '{name}': weights: random needs an architecture, which the catalogue has "
            f"of {', '.join(known)}"
        )
    return ArchitectureReranker(name, catalogue[name], options, device)


def _limit(backend: str, architecture: Architecture, options: Any, device: str) -> batches.Limit:
    """Return what the backend of the trained model would put into one forward pass."""
    if architecture.task == "list":
        return batches.Limit(pairs=options.batch_size)
    if architecture.task == "answer" and backend == "cross-encoder":
        # sentence-transformers cuts these batches
        return batches.Limit(pairs=options.batch_size or batches.LIBRARY_PAIRS)
    limit = batches.Limit.of(options.batch_size, options.token_budget, device)
    limit.is_packed = options.is_packed
    return limit


@dataclass(frozen=True)
class Torch(Requirement):
    """The one engine that runs networks without weights."""

    engine: str

    def require(self) -> None:
        if self.engine != "torch":
            raise Unavailable("random weights run on torch alone", "leave runtime out")


@dataclass(frozen=True)
class FreeMemory(Requirement):
    """Memory of a device for a network of this many parameters."""

    parameters: int
    dtype: str
    device: str

    def require(self) -> None:
        size = BYTES[self.dtype]
        needed = int(self.parameters * size * ROOM)
        free = available_bytes(self.device)
        if free is None or needed <= SHARE * free:
            return
        fix = "free some memory, or take a smaller model"
        if size > 2:
            fix += "; dtype: bfloat16 takes half"
        raise Unavailable(
            f"needs {needed / 1e9:.1f} GB in {self.dtype}, {percent(SHARE)} of "
            f"{free / 1e9:.1f} GB may be taken",
            fix,
        )


class ArchitectureReranker(BaseReranker):
    """Takes the options of the backend that would run the trained model."""

    latency_only = True

    def __init__(self, name: str, entry: entries.Entry, options: Any, device: str) -> None:
        super().__init__(options, device)
        if entry.facts.architecture is None:
            raise SuiteError(f"reranker '{name}': its architecture is not known")
        self.name, self.facts, self.architecture = name, entry.facts, entry.facts.architecture
        self.pointwise = self.architecture.task != "list"
        self.limit = _limit(entry.backend, self.architecture, options, device)
        self.longest_input = options.max_length
        self._network: Any = None

    def requirements(self) -> Sequence[Requirement]:
        requirements: list[Requirement] = [
            Package("torch", "local"),
            Package("transformers", "local"),
            Torch(self.options.engine),
            sentence_transformer.Device(self.device),
        ]
        if self._network is None:
            requirements.append(self._memory())
        return requirements

    def load(self) -> None:
        if self._network is not None:
            return
        # what was free when the suite was planned may be taken by now
        self._memory().require()
        options = self.options
        with quiet():
            self._network = RandomNetwork(
                self.architecture,
                options.dtype,
                self.device,
                options.attention_implementation,
                is_packed=options.is_packed,
            )
        self._lengths = TextLengths()

    def describe(self) -> Description:
        network = self._built().network
        network_facts = {"task", "type", "config", "prompt_tokens"}
        formats = sentence_transformer.number_formats(network)
        identity = Identity(
            "architecture",
            arithmetic=Arithmetic(tuple(formats), attention=self.options.attention),
            settings={
                "architecture": self.name,
                **self.architecture.model_dump(include=network_facts),
                "weights": "random",
                "max_length": self._longest(),
                "lengths": self._lengths.rule,
            },
            libraries=versions(*networks.LIBRARIES),
        )
        facts = {
            "parameters": self.facts.parameters,
            "device": self.device,
            "attention": sentence_transformer.attention_of(network, self.options),
            "first_token_only": self._network.first_token_only,
            "threads": self.options.threads,
            **self.limit.facts(),
        }
        return Description("architecture", identity.own_fields(), facts)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        """Return numbers to sort, as a trained model would give: they mean nothing."""
        self._built()
        with sentence_transformer.torch_settings(self.options):
            if not self.pointwise:
                return self._order(requests)
            return split_scores(self._score, requests)

    def work(self, request: CandidateList) -> int:
        """Return the tokens that a request makes the network read or write: a forecast of its time
        is made of them.
        """
        if self.pointwise:
            return int(self._pair_lengths([(request.query, doc) for doc in request.docs]).sum())
        sorting = Sorting(request, self.options)
        tokens = 0
        while window := sorting.window:
            tokens += self._window_tokens(sorting) + TOKENS_PER_PLACE * len(window)
            sorting.take(range(len(window)))
        return tokens

    def score_lists(self, requests: Sequence[CandidateList], meter: Meter) -> list[Outcome]:
        try:
            return super().score_lists(requests, meter)
        finally:
            meter.count(Usage(halvings=self.limit.take_halvings()))

    def close(self) -> None:
        self._network = None
        sentence_transformer.free(self.device)

    def _score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        import numpy as np

        with self.meter.span("tokenise"):
            wanted = self._pair_lengths(pairs)
            lengths = np.minimum(wanted, self._longest())
        parts = batches.run(lengths, self.limit, lambda rows: self._forward(lengths[rows]))
        slots = sum(self.limit.slots(lengths[rows]) for rows, _ in parts)
        self.meter.count(
            Usage(
                pairs=len(pairs),
                tokens=int(lengths.sum()),
                slots=slots,
                truncated=int((wanted > lengths).sum()),
            )
        )
        with self.meter.span("copy"):
            return np.nan_to_num(batches.in_order(parts, batches.on_host))

    def _forward(self, lengths: NDArray[np.int64]) -> Any:
        with self.meter.span("copy"):
            inputs = self._network.inputs(lengths)
        with self.meter.span("forward"):
            return self._network.logits(inputs)

    def _order(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        """Read and answer every window of every request; the order stays the first stage's."""
        import numpy as np

        sortings = [Sorting(request, self.options) for request in requests]
        while waiting := [sorting for sorting in sortings if sorting.window]:
            with self.meter.span("tokenise"):
                lengths = np.array(
                    [self._window_tokens(sorting) for sorting in waiting], dtype=np.int64
                )
            answers = np.array(
                [TOKENS_PER_PLACE * len(sorting.window) for sorting in waiting], dtype=np.int64
            )
            batches.run(lengths, self.limit, partial(self._write, lengths, answers))
            tokens = int(lengths.sum())
            self.meter.count(
                Usage(
                    calls=len(waiting), tokens=tokens, slots=tokens, tokens_out=int(answers.sum())
                )
            )
            for sorting in waiting:
                sorting.take(range(len(sorting.window)))
        self.meter.count(Usage(pairs=sum(len(request.docs) for request in requests)))
        return [sorting.scores() for sorting in sortings]

    def _write(
        self, lengths: NDArray[np.int64], answers: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> None:
        with self.meter.span("copy"):
            inputs = self._network.inputs(lengths[rows])
        with self.meter.span("forward"), quiet():
            self._network.write(inputs, int(answers[rows].max()))

    def _pair_lengths(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
        import numpy as np

        queries = sorted({query for query, _ in pairs})
        tokens = dict(zip(queries, self._lengths(queries).tolist(), strict=True))
        of_query = np.array([tokens[query] for query, _ in pairs], dtype=np.int64)
        return of_query + self._lengths([doc for _, doc in pairs]) + self.architecture.prompt_tokens

    def _window_tokens(self, sorting: Sorting) -> int:
        passages = [sorting.passages[position] for position in sorting.window]
        prompt = messages(self.options.prompt, sorting.query, passages, self.options.system)
        tokens = (
            int(self._lengths([message["content"] for message in prompt]).sum())
            + self.architecture.prompt_tokens
        )
        return max(1, min(tokens, self._longest() - TOKENS_PER_PLACE * len(passages)))

    def _longest(self) -> int:
        return int(self.options.max_length or self.facts.max_length or 512)

    def _memory(self) -> FreeMemory:
        return FreeMemory(self.facts.parameters or 0, self.options.dtype, self.device)

    def _built(self) -> Any:
        if self._network is None:
            raise RerankerError(f"{self.name}: load() comes before describe() and rerank()")
        return self._network
