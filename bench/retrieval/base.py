"""What every first stage has in common, and the wrapper around an outsider's class that inherits
nothing of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.contract.candidates import Candidates, QueryCandidates
from bench.contract.encoding import Encoder
from bench.contract.identity import Fields
from bench.contract.meter import Meter
from bench.contract.requirement import Requirement, requirements_of
from bench.core.errors import RerankerError
from bench.core.plugins import name_of
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.retrieval.options import FirstStageOptions


class BaseFirstStage(ABC):
    """Writes `retrieve`; `load` where it has something to open, and `search` where one query can be
    answered for less than `retrieve` takes around it.
    """

    meaning: str = ""
    """Where its candidates come from, in a list."""
    Options: ClassVar[type[FirstStageOptions]] = FirstStageOptions
    reads_texts: bool = True
    """False where ids suffice, so that a collection without documents serves, too."""
    is_given: bool = False
    """True where nothing is computed: a file or the collection says the candidates. It has no
    time.
    """

    source_decides: bool = True
    """Whether the source of its candidates holds all that decides them: not so where code of an
    outsider does.
    """
    is_outside: bool = False
    """Whether an outsider wrote it: what it retrieves is checked."""
    parts: Sequence[tuple[str, BaseFirstStage]] = ()
    """The first stages that it is made of, by name."""

    def __init__(self, options: Any, base_dir: Path) -> None:
        self.options = options
        self.base_dir = base_dir
        self.device = "cpu"
        self.observer = Observer()
        self.encoder: Encoder | None = None
        self.meter = Meter()
        """Takes the spans of a timed search."""

    def attach(self, device: str, observer: Observer) -> None:
        """Take the device on which models run, and who gets the progress of what takes long. The
        first stages that it is made of get both.
        """
        self.device, self.observer = device, observer
        for _, stage in self.parts:
            stage.attach(device, observer)

    def encode_with(self, encoder: Encoder | None) -> None:
        """Take who encodes a collection; None where this process does. The first stages that it is
        made of get it, too.
        """
        self.encoder = encoder
        for _, stage in self.parts:
            stage.encode_with(encoder)

    @property
    def origin(self) -> type:
        """The class whose code retrieves: that of an outsider, where one is wrapped."""
        return type(self)

    def requirements(self) -> Sequence[Requirement]:
        """Return what it needs to run. Cheap."""
        return ()

    def spans(self) -> list[str]:
        """Return what the spans inside a timed search are called."""
        return []

    def check(self, dataset: Dataset | None, depth: int) -> Candidates | None:
        """Raise what `retrieve` would raise, as far as that is cheap to know; return the candidates
        where they are known by then. `dataset` is None where it is not on this disk.
        """
        for requirement in requirements_of(self, self.origin):
            requirement.require()
        return None

    def check_over(self, dataset: Dataset) -> None:
        """Raise DataError where a model of it was trained on what the collection measures."""
        for _, stage in self.parts:
            stage.check_over(dataset)

    def load(self, dataset: Dataset) -> None:
        """Open the index of a collection. Idempotent."""
        return

    @abstractmethod
    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Return up to `depth` candidates for each of the queries."""

    def load_encoder(self) -> Fields:
        """Load what encodes documents, and return what decides their embeddings."""
        raise RerankerError(f"{name_of(self.origin)} encodes no documents")

    def encode_into(self, texts: Sequence[str], folder: Path) -> int:
        """Write the embeddings of texts into files of a folder; return how many texts the model
        could read in part only. After `load_encoder`.
        """
        raise RerankerError(f"{name_of(self.origin)} encodes no documents")

    def search(self, dataset: Dataset, query_id: str, depth: int) -> QueryCandidates:
        """Return up to `depth` candidates of one query: what a timed call does after `load`."""
        return self.retrieve(dataset, [query_id], depth).by_query[query_id]

    def close(self) -> None:
        """Free memory and connections."""
        return


class OutsideFirstStage(BaseFirstStage):
    """An outsider's class with `Options`, `name` and `retrieve`, which inherits nothing."""

    outside: ClassVar[Any]

    def __init__(self, options: Any, base_dir: Path) -> None:
        super().__init__(options, base_dir)
        self._stage = self.outside(options, base_dir)
        self.reads_texts = bool(getattr(self._stage, "reads_texts", True))

    @property
    def origin(self) -> type:
        return type(self._stage)

    def requirements(self) -> Sequence[Requirement]:
        requirements: Sequence[Requirement] = ()
        method = getattr(self._stage, "requirements", None)
        if method is not None:
            requirements = method()
        return requirements

    def check(self, dataset: Dataset | None, depth: int) -> Candidates | None:
        super().check(dataset, depth)
        candidates: Candidates | None = None
        method = getattr(self._stage, "check", None)
        if method is not None:
            candidates = method(dataset, depth)
        return candidates

    def load(self, dataset: Dataset) -> None:
        method = getattr(self._stage, "load", None)
        if method is not None:
            method(dataset)

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        candidates: Candidates = self._stage.retrieve(dataset, query_ids, depth)
        return candidates

    def close(self) -> None:
        method = getattr(self._stage, "close", None)
        if method is not None:
            method()


def wrap(outside: Any) -> type[OutsideFirstStage]:
    """Return a first stage around an outsider's class."""
    members = {"Options": outside.Options, "outside": staticmethod(outside)}
    return type("OutsideFirstStage", (OutsideFirstStage,), members)
