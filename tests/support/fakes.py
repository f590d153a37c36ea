"""Rerankers without weights, for tests of everything around a reranker. A suite names them
"tests.support.fakes:Class".
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from bench.contract.request import CandidateList, Failure
from bench.contract.stage import Description
from bench.core.errors import RerankerError
from bench.core.options import option
from bench.rerankers.base import BaseReranker, PointwiseReranker
from bench.rerankers.options import RerankerOptions


class FakeOptions(RerankerOptions):
    salt: str = option("", decides="scores")
    delay_ms: float = option(0.0, decides="speed")
    log: str | None = option(None, decides="nothing")
    fail_query: str | None = option(None, decides="nothing")
    crash: str | None = option(None, decides="nothing")
    wrong: str | None = option(None, decides="nothing")


class HashReranker(PointwiseReranker):
    """Scores a pair by a hash of its texts: repeatable, order-independent, and about as good as
    chance.
    """

    Options = FakeOptions

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "fake", "salt": self.options.salt}

    def describe(self) -> Description:
        return Description("fake", {"salt": self.options.salt}, {"device": self.device})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        if self.options.crash:
            raise RuntimeError(self.options.crash)
        return np.array([self._one(query, doc) for query, doc in pairs])

    def _one(self, query: str, doc: str) -> float:
        if self.options.delay_ms:
            time.sleep(self.options.delay_ms / 1000)
        if self.options.log:
            with Path(self.options.log).open("a") as log:
                log.write(".")
        digest = hashlib.sha256(f"{self.options.salt}\0{query}\0{doc}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


class MortalOptions(FakeOptions):
    folder: str = option(decides="nothing")
    dies_at: str = option("", decides="nothing")
    again: bool = option(False, decides="nothing")


class MortalReranker(HashReranker):
    """Kills its own process at a query, once or each time, and leaves the numbers of its processes
    in a folder.
    """

    Options = MortalOptions

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        folder = Path(self.options.folder)
        (folder / f"{os.getpid()}.pid").touch()
        died = folder / "died"
        is_fatal = any(query == self.options.dies_at for query, _ in pairs)
        if is_fatal and (self.options.again or not died.exists()):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(pairs)


class TunableOptions(FakeOptions):
    batch_size: int | None = option(None, decides="speed")
    threads: int | None = option(None, decides="speed")
    dtype: Literal["float32", "bfloat16", "float16", "int8"] = "float32"
    runtime: Literal["torch", "onnx"] = "torch"

    @model_validator(mode="after")
    def _fits(self) -> TunableOptions:
        if self.dtype == "int8" and self.runtime == "torch":
            raise ValueError("runtime torch has no dtype int8")
        return self


class TunableReranker(HashReranker):
    """Takes the settings of a model with weights. Number format and runtime change its scores, the
    others do not.
    """

    Options = TunableOptions

    def fingerprint(self) -> dict[str, Any]:
        return {
            **super().fingerprint(),
            "dtype": self.options.dtype,
            "runtime": self.options.runtime,
        }

    def describe(self) -> Description:
        facts = {
            "device": self.device,
            "batch_size": self.options.batch_size,
            "threads": self.options.threads,
        }
        return Description("fake", self.fingerprint(), facts)

    def _one(self, query: str, doc: str) -> float:
        return super()._one(f"{self.options.dtype} {self.options.runtime} {query}", doc)


class FlakyReranker(HashReranker):
    """Fails one query, as an API that timed out for good, or breaks its contract in a named way."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        outcomes: list[Any] = list(super().rerank(requests))
        for i, request in enumerate(requests):
            if request.query_id == self.options.fail_query:
                outcomes[i] = Failure("timed out")
        if self.options.wrong == "nan":
            outcomes[0] = np.full(len(requests[0].docs), np.nan)
        if self.options.wrong == "count":
            outcomes[0] = outcomes[0][:-1]
        if self.options.wrong == "answers":
            outcomes.pop()
        return outcomes


class RemoteReranker(HashReranker):
    placement = "remote"


class MissingReranker(BaseReranker):
    """Never available."""

    Options = FakeOptions

    def check(self) -> None:
        from bench.core.errors import Unavailable

        raise Unavailable("no FAKE_API_KEY", "export FAKE_API_KEY=...")

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        raise AssertionError("a reranker that is not available is never asked what it loaded")

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        raise AssertionError("a reranker that is not available is never run")


class UnloadableReranker(HashReranker):
    """Its scores may be cached, but its weights are gone."""

    def load(self) -> None:
        if self.options.crash:
            raise RerankerError("the weights are gone")

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        return np.array([self._one(query, doc) for query, doc in pairs])
