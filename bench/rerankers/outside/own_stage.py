"""A class with `rerank` and `fingerprint` that does not derive from our base, as a reranker."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList, Usage
from bench.contract.stage import Description
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.contract.requirement import Requirement


class OwnStage(BaseReranker):
    """Passes calls on; what the class does not have is as in the base."""

    outside: ClassVar[type]

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._stage = self.outside(options, device=device)
        for name in ("pointwise", "placement", "reads_texts", "reads_scores"):
            setattr(self, name, getattr(self._stage, name, getattr(self, name)))

    @property
    def origin(self) -> type:
        return self.outside

    @property
    def is_sure_pointwise(self) -> bool:
        says_so = hasattr(self._stage, "pointwise")
        return says_so and self.pointwise and not self.reads_scores

    def requirements(self) -> Sequence[Requirement]:
        if getattr(self._stage, "requirements", None) is None:
            return ()
        requirements: Sequence[Requirement] = self._stage.requirements()
        return requirements

    def check(self) -> None:
        super().check()
        self._call("check")

    def fingerprint(self) -> dict[str, Any]:
        return dict(self._stage.fingerprint() or {})

    def load(self) -> None:
        self._call("load")

    def describe(self) -> Description:
        description: Description = self._stage.describe()
        return description

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        outcomes: list[Outcome] = self._stage.rerank(requests)
        usage = self._call("take_usage")
        if usage is not None:
            self.meter.count(usage)
        return outcomes

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        return Usage(pairs=sum(len(request.doc_ids) for request in requests))

    def close(self) -> None:
        self._call("close")

    def _call(self, name: str) -> Any:
        """Return what a method of the outsider's returns; None where it has none of this name."""
        method = getattr(self._stage, name, None)
        if method is None:
            return None
        return method()


def is_stage(candidate: Any) -> bool:
    """Return whether something is a class with the methods of a stage."""
    methods = (getattr(candidate, name, None) for name in ("rerank", "fingerprint"))
    return inspect.isclass(candidate) and all(map(callable, methods))


def wrap_stage(outside: type) -> type[OwnStage]:
    """Return a reranker class around an outsider's."""
    options = getattr(outside, "Options", RerankerOptions)
    return type("OwnStage", (OwnStage,), {"outside": outside, "Options": options})
