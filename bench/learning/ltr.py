"""The learned stage `ltr`: a linear model or trees over cheap features, trained inside the suite.

Trained when the quality pass begins: on the judged queries of its own lists, cross-fitted, so that
no query is scored by a model that was fitted on its judgments, or on another dataset. The timed
pass works out every feature anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench import datasets, retrieval
from bench.contract.identity import Identity
from bench.contract.learned import Learned, Origin
from bench.contract.request import CandidateList, Usage
from bench.contract.requirement import Requirement, requirements_of
from bench.contract.stage import Component, Description, Reranker
from bench.core.digest import file_digest
from bench.core.errors import RerankerError, SuiteError
from bench.core.note import Code, note
from bench.core.options import validated
from bench.datasets.checks import COMPARED
from bench.learning import features, models
from bench.learning.checks import refuse_absent, refuse_measured
from bench.learning.model_files import training_of
from bench.learning.options import LtrOptions
from bench.rerankers.base import BaseReranker
from bench.retrieval.options import BM25Options

if TYPE_CHECKING:
    from bench.contract.candidates import Candidates, QueryCandidates
    from bench.contract.request import Outcome
    from bench.datasets.base import Dataset, Qrels
    from bench.learning.learner import Learner

BACKEND = "ltr"


class LtrReranker(BaseReranker):
    """Orders candidates by a model over features. `state` is its `Lessons`, once it has learned."""

    Options: ClassVar[type[LtrOptions]] = LtrOptions
    pointwise = False
    reads_scores = True
    needs_collection = True
    options: LtrOptions

    def __init__(self, options: LtrOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._origin: Origin | None = None
        self._dataset: Dataset | None = None
        self._firsts: Mapping[str, QueryCandidates] | None = None
        self._learner: Learner | None = None
        self._key: str | None = None
        self._encoder: Reranker | None = None
        if options.bm25 is not None:
            validated(BM25Options, options.bm25, "ltr: bm25")

    @property
    def base_dir(self) -> Path:
        """The suite's folder."""
        if self._origin is None or self._origin.first is None:
            return Path()
        return Path(self._origin.first.base_dir)

    @property
    def is_portable(self) -> bool:
        origin = self._origin
        return origin is not None and origin.first is not None and not origin.between

    @property
    def learned(self) -> Learned | None:
        if self.state is None:
            return None
        learned: Learned = self.state.learned
        return learned

    def requirements(self) -> Sequence[Requirement]:
        requirements = list(models.requirements(self.options))
        for part in self.options.first_stages:
            stage = retrieval.build(part.name, part.options, self.base_dir, self.device)
            requirements += requirements_of(stage, stage.origin)
        if self._encoder is not None:
            requirements += requirements_of(self._encoder, self._encoder.origin)
        return requirements

    def check(self) -> None:
        """Raise Unavailable for a package or weights that are missing, SuiteError for a function or
        an entry that cannot be used, RerankerError for a place in which it cannot be trained.
        """
        super().check()
        features.own_functions(self.options.functions)
        if self._encoder is not None:
            self._encoder.check()
        if self.options.load is not None and not Path(self.options.load).is_file():
            raise SuiteError(f"ltr: load: there is no file {self.options.load}")
        if self.options.train is None or self._origin is None:
            return
        if self._origin.between:
            raise RerankerError(
                f"ltr: train: it comes after '{self._origin.between[-1]}', whose scores over "
                "another dataset are not known: leave 'train' out, or put it after the first stage"
            )
        if self._origin.first is None:
            raise RerankerError(
                "ltr: train: the first stage is an object that was handed over, which cannot "
                "search another dataset: leave 'train' out"
            )

    def check_over(self, dataset: Dataset) -> None:
        # of a sample nobody knows what the others have, and reading millions takes too long
        is_whole = dataset.has_texts and dataset.documents_read is None
        if is_whole and len(dataset.documents) <= COMPARED:
            refuse_absent(dataset, self.options.fields)
        if self._encoder is not None:
            self._encoder.check_over(dataset)
        part = self.options.train
        if part is None or self._origin is None:
            return
        seed = self._origin.seed
        refuse_measured(
            datasets.load(part.name, part.options, self.base_dir, seed, check=True), dataset
        )

    def hold(self, parts: Sequence[Component]) -> None:
        """Take the encoder. Its scores are features: it is no part that is scored for itself."""
        for part in parts:
            self._encoder = part.reranker

    def follows(self, origin: Origin) -> None:
        self._origin = origin

    def restore(self, key: str) -> None:
        self._key = key

    def over(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._learner = None

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        if self._origin is not None and self._origin.between:
            self._firsts = candidates.by_query

    def identity(self) -> Identity:
        known: dict[str, Any] = {"features_version": features.VERSION, "training": None}
        if self.state is not None:
            known["training"] = self.state.key
        if self.options.load is not None:
            known["load"] = file_digest(Path(self.options.load))
        if self._encoder is not None:
            known["encoder"] = dict(self._encoder.fingerprint())
        known["first_stages"] = [part.to_entry() for part in self.options.first_stages]
        if self.options.train is not None:
            known["train"] = self.options.train.to_entry()
        libraries = models.libraries(self.options)
        return Identity.of(BACKEND, self.options, libraries=libraries, unread=known)

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the scores, the training among it; empty where that is not known."""
        if self.state is not None and not self.state.is_known:
            return {}
        return dict(self.identity().fingerprint())

    @contextmanager
    def prepared(self, requests: Sequence[CandidateList]) -> Iterator[None]:
        learner = self._over()
        if self._encoder is not None:
            self._encoder.check_over(learner.dataset)
        self.state = learner.learned_from(requests)
        try:
            yield
        finally:
            learner.forget()

    @property
    def is_untrained(self) -> bool:
        return self.state is None

    def load(self) -> None:
        """Open what features look up. Where no quality pass came before, as in a server or a fresh
        process, take what a run has learned or a file holds, or learn from the candidates of the
        first stage.
        """
        if self._dataset is None:
            return
        learner = self._over()
        learner.load()
        if self.state is None and self._key is not None:
            self.state = learner.restored(self._key)
        if self.state is None and self.options.load is not None:
            # nothing is measured here: what the model was trained on cannot make a value too good
            self.state = learner.from_file(Path(self.options.load))
        if self.state is None and self.is_portable:
            self.state = learner.learned_from(learner.own_lists())
            learner.forget()

    def describe(self) -> Description:
        identity = self.identity().complete()
        facts: dict[str, Any] = {"device": self.device}
        if self.state is not None:
            facts["features"] = len(self.state.trained.features)
        load = self.options.load
        if load is not None and training_of(Path(load)) is None:
            doubt = note(Code.MODEL_TRAINING_UNKNOWN, text=Path(load).name)
            facts["warnings"] = [doubt.to_dict()]
        return Description(BACKEND, identity.own_fields(), facts)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        if self.state is None:
            raise RerankerError(
                "ltr: it was not trained: it serves inside a suite that it learns in"
            )
        outcomes: list[Outcome] = []
        outcomes += self._over().scores(requests, self.state.trained, self.meter.span)
        for request in requests:
            self.meter.count(Usage(pairs=len(request.doc_ids)), request.query_id)
        return outcomes

    def close(self) -> None:
        if self._learner is not None:
            self._learner.close()

    def _over(self) -> Learner:
        """Return the part that works over the collection. Raises RerankerError without one."""
        from bench.learning.learner import Learner

        if self._dataset is None:
            raise RerankerError(
                "ltr: it looks words and fields up in a collection, and there is none here: it "
                "serves inside a suite"
            )
        if self._learner is None:
            origin = self._origin or Origin(None, 100, 42)
            firsts = self._firsts
            if firsts is None and self.state is not None:
                firsts = self.state.firsts
            self._learner = Learner(
                self._dataset,
                self.options,
                origin,
                self.base_dir,
                self.device,
                self._encoder,
                firsts,
            )
        return self._learner
