"""`trained: recipe.yaml`: a model that a suite trains, as a reranker like any other.

Trained when the quality pass begins, once: the cache folder keeps it by everything that decides its
weights, the lists that it was trained on included, so that a changed recipe or collection trains
anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench import rerankers
from bench.catalogue import entries as catalogue
from bench.contract.identity import Identity
from bench.contract.learned import Learned
from bench.contract.meter import Meter
from bench.contract.part import Part
from bench.contract.request import CandidateList
from bench.contract.requirement import Requirement
from bench.contract.stage import Description, Reranker
from bench.core.cache_dir import cache_dir
from bench.core.digest import digest_of
from bench.core.errors import RerankerError, SuiteError
from bench.core.note import Code, read_notes
from bench.core.options import option
from bench.core.progress import watcher
from bench.core.redaction import without_places
from bench.datasets.families import families_of
from bench.models.tiny import is_tiny
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions
from bench.training import recipe as recipes

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.datasets.base import Dataset

BACKEND = "trained"


class TrainedOptions(RerankerOptions):
    paths: ClassVar[tuple[str, ...]] = ("recipe",)

    recipe: str = option(
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="file of a training recipe, as `rerank-bench train` takes it",
    )
    fraction: float = option(
        1.0,
        ge=0,
        le=1,
        decides="scores",
        description="share of the training queries; a larger one holds the smaller ones, and 0 is "
        "the untuned base",
    )
    fractions: tuple[float, ...] = option(
        (),
        decides="nothing",
        description="a row per share, and one of the untuned base: a learning curve; those of the "
        "recipe when absent",
    )


class TrainedReranker(BaseReranker):
    """Scores by a model that a recipe trains. `state` is the `TrainedModel`, once it is there."""

    Options: ClassVar[type[TrainedOptions]] = TrainedOptions
    options: TrainedOptions

    def __init__(self, options: TrainedOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.recipe = recipes.load(options.recipe)
        if self.recipe.kind == "ltr":
            raise SuiteError(
                f"{options.recipe}: an ltr is a row by itself: write 'ltr' in its place"
            )
        self.longest_input = self.recipe.length
        self._dataset: Dataset | None = None
        self._key: str | None = None
        self._model: Reranker | None = None
        self.options = options.model_copy(update={"trained_on": self._families()})

    def _families(self) -> tuple[str, ...] | None:
        """Return the families of collections that the model has seen: those of its base and of its
        training data; None where those of the base are not known.
        """
        if self.options.trained_on is not None:
            return self.options.trained_on
        entry = catalogue.load().get(str(self.recipe.base))
        values = entry.options if entry else {"model": str(self.recipe.base)}
        seen = catalogue.trained_on(str(values.get("model")), values.get("adapter"))
        if seen is None:
            return None
        families = list(seen)
        if self.options.fraction:
            for part in self.recipe.data:
                families += families_of(part.name)
        return tuple(dict.fromkeys(families))

    @property
    def model_name(self) -> str:
        return self.recipe.name

    def check(self) -> None:
        """Raise SuiteError for shares that are no rows here, Unavailable for what is missing."""
        super().check()
        if self.options.fractions:
            raise SuiteError("trained: fractions are rows of a suite; give fraction for one model")

    def requirements(self) -> Sequence[Requirement]:
        from bench.training.network import Base

        return Base(self.recipe, self.device).requirements()

    def over(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def check_over(self, dataset: Dataset) -> None:
        from bench.training.kept import check_base, check_measured

        if self.options.fraction:
            check_measured(self.recipe, dataset)
        else:
            check_base(self.recipe, dataset)

    def restore(self, key: str) -> None:
        self._key = key

    def identity(self) -> Identity:
        known: dict[str, object] = {
            "recipe": digest_of(self.recipe.resolved()),
            "device": self.device.partition(":")[0],
            "training": None,
        }
        if self.state is not None:
            known["training"] = self.state.key
        return Identity.of(BACKEND, self.options, unread=known)

    @property
    def learned(self) -> Learned | None:
        if self.state is None or not self.options.fraction:
            return None
        facts = self.state.facts
        names = ", ".join(str(without_places(part.label)) for part in self.recipe.data)
        return Learned(
            key=self.state.key,
            model=self.recipe.kind,
            dataset=names,
            folds=None,
            queries=int(str(facts["queries"])),
            documents=int(str(facts["pairs"])),
            importances=(),
            stages=(),
        )

    @contextmanager
    def prepared(self, requests: Sequence[CandidateList]) -> Iterator[None]:
        self._train()
        yield

    def _train(self) -> None:
        """Have the model, from the cache where it is there."""
        if self.state is not None:
            return
        from bench.training.kept import FOLDER, check_base, trained_model, untuned_model

        if not self.options.fraction:
            if self._dataset is not None:
                check_base(self.recipe, self._dataset)
            self.state = untuned_model(self.recipe, self.device)
            return
        folder = cache_dir(FOLDER)
        self.state = trained_model(
            self.recipe,
            self.options.fraction,
            folder,
            self.device,
            watcher(),
            measured=self._dataset,
            key=self._key,
        )

    def load(self) -> None:
        self._train()
        if self._model is None:
            part = self._part()
            self._model = rerankers.build(
                part.name, part.options, self.device, self.recipe.base_dir
            )
        self._model.load()

    def _part(self) -> Part:
        """Return the model as a row of its own."""
        from bench.training.entries import trained, untuned

        base_dir = self.recipe.base_dir
        if not self.options.fraction:
            return untuned(self.recipe, base_dir)
        return trained(self.recipe, self.state.folder, base_dir)

    def describe(self) -> Description:
        model = self._loaded().describe()
        identity = self.identity().complete()
        facts = {**model.facts, "training": {"recipe": self.recipe.name, **self.state.facts}}
        # it was compared with its recipe's data, whatever its folder says
        warnings = read_notes(facts.get("warnings", ()))
        facts["warnings"] = [about.to_dict() for about in warnings if about.code != Code.UNCOMPARED]
        if is_tiny(str(self.recipe.base)):
            facts["random_weights"] = True
        return Description(BACKEND, {**model.identity, **identity.own_fields()}, facts)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        return self._loaded().score_lists(requests, self.meter)

    def score_lists(self, requests: Sequence[CandidateList], meter: Meter) -> list[Outcome]:
        return self._loaded().score_lists(requests, meter)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()

    def _loaded(self) -> Reranker:
        if self._model is None:
            raise RerankerError(f"{self.options.recipe}: load() comes before rerank()")
        return self._model


def rows(part: Part, base_dir: Path) -> list[Part]:
    """Return the rows of an entry: one per share of the training queries where there are several,
    after the untuned base. They have the recipe's name where the suite gives none. Raises
    SuiteError for a recipe that cannot be used.
    """
    options: dict[str, Any] = {}
    if isinstance(part.options, Mapping):
        options = dict(part.options)
    else:
        options["recipe"] = part.options
    recipe = recipes.load(base_dir / Path(str(options["recipe"])).expanduser())
    fractions = options.pop("fractions", None) or recipe.fractions
    name = str(options.get("name") or recipe.name)
    if "fraction" in options:
        own_name = options.get("name") or row_name(recipe.name, float(options["fraction"]))
        return [Part(BACKEND, {**options, "name": own_name})]
    if not fractions:
        return [Part(BACKEND, {**options, "name": name})]
    shares = sorted({0.0, *map(float, fractions)})
    return [
        Part(BACKEND, {**options, "name": row_name(name, share), "fraction": share})
        for share in shares
    ]


def row_name(name: str, fraction: float) -> str:
    """Return what a row of a learning curve is called."""
    if not fraction:
        return f"{name}, untuned"
    return f"{name}, {100 * fraction:g} %"
