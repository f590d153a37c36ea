"""What is wrong with the entries of a suite, with the line and the keys of each: nothing heavy is
imported, and no file is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bench import rerankers, retrieval
from bench.contract.part import Part
from bench.core.errors import SuiteError
from bench.core.filenames import file_stem
from bench.core.options import Keys, Kind, as_mapping
from bench.core.paths import expanded
from bench.core.yaml_source import Source
from bench.datasets.files import locate
from bench.scoring import executors
from bench.suite import nested, references
from bench.suite.cascade_entry import CASCADE, cascade_of, is_cascade, keys_of_stage
from bench.suite.key_places import part_elsewhere, place_of
from bench.suite.naming import display_name
from bench.suite.nested import Placed
from bench.suite.pipeline_entry import (
    PipelineEntry,
    keep_of,
    refuse_more,
    refuse_optional,
    retrieved_by,
    without_keep,
)


@dataclass(frozen=True)
class Checks:
    """The checks of one suite: `top_level` are its own keys, `base_dir` is where its paths begin,
    `depth` the candidates of a first stage that says nothing else. Each raises SuiteError.
    """

    source: Source
    base_dir: Path
    top_level: tuple[str, ...]
    depth: int
    first_stages: Sequence[Part]

    def check_part(self, kind: Kind, part: Part, keys: Keys) -> None:
        """Check an entry and those among its options; a cascade is checked by its stages."""
        if kind == "rerankers" and is_cascade(part):
            self._check_cascade(part, keys)
            return
        placed = Placed(kind, part, keys)
        self._check_options(placed)
        for inner in nested.inside(placed):
            self._check_options(inner)

    def check_executor(self, part: Part) -> None:
        """Check the options of an executor."""
        try:
            model = executors.class_of(part.name).Options
            model.model_validate(as_mapping(model, part.options))
        except ValidationError as error:
            raise self._explained(error, model, ("executor", part.name)) from error
        except SuiteError as error:
            raise self.source.problem(("executor",), error) from error

    def check_pipeline(self, pipeline: PipelineEntry, keys: Keys) -> None:
        """Check that a pipeline's first stage retrieves, that the others order, that none hands on
        more than it gets, and that names are clear.
        """
        try:
            references.refuse_name(pipeline.name)
        except SuiteError as error:
            raise self.source.problem((*keys, "name"), error) from error
        placed: list[Placed] = []
        for place, stage in enumerate(pipeline.stages):
            kind: Kind = "rerankers"
            if place == 0:
                kind = "first_stages"
            placed.append(Placed(kind, stage, (*keys, "stages", place, stage.name)))
        self.check_stages(placed, pipeline.name, None)

    def _check_cascade(self, part: Part, keys: Keys) -> None:
        """Check a cascade, which begins with any first stage of the suite."""
        try:
            cascade = cascade_of(part)
        except SuiteError as error:
            raise self.source.problem(keys, error) from error
        placed: list[Placed] = []
        for place, stage in enumerate(cascade.stages):
            placed.append(Placed("rerankers", stage, keys_of_stage(part, keys, place)))
        received = min(retrieved_by(stage) or self.depth for stage in self.first_stages)
        self.check_stages(placed, CASCADE, received)
        try:
            references.refuse_name(display_name(part))
        except SuiteError as error:
            raise self.source.problem(keys, error) from error

    def check_stages(self, placed: Sequence[Placed], name: str, received: int | None) -> None:
        """Check the stages of a pipeline of this name. `received` is what the first of them gets,
        None where it retrieves.
        """
        names: dict[str, str] = {}
        for kind, stage, keys, _ in placed:
            self._check_stage(stage, kind, keys, received, names)
            if kind == "rerankers":
                self._refuse_reference(stage, name, keys)
            plain = without_keep(stage)
            for inner in nested.inside(Placed(kind, plain, keys)):
                self._check_options(inner)
            received = keep_of(stage) or received or retrieved_by(plain) or self.depth

    def check_files(self, entries: Iterable[Placed]) -> None:
        """Check that the files and folders that entries name are there: now, not after an hour of
        scoring. Raises OSError where one cannot be looked at.
        """
        for kind, part, keys, _ in entries:
            if kind == "datasets":
                scheme, _, reference = part.name.partition(":")
                if scheme == "files" and not locate(reference, self.base_dir)[0].exists():
                    folder = reference.partition("#")[0]
                    raise self.source.problem(keys, f"there is no {folder} in {self.base_dir}")
                continue
            path = part.options
            if isinstance(part.options, Mapping):
                path = part.options.get("path")
            is_file = part.name in ("run", "run-file")
            if is_file and not (self.base_dir / expanded(str(path))).exists():
                raise self.source.problem(keys, f"there is no {path} in {self.base_dir}")

    def _check_options(self, placed: Placed) -> None:
        kind, part, keys, _ = placed
        try:
            model = nested.options_for(kind, part.name)
            # where it cannot be, its options mean nothing
            nested.refuse_misuse(placed)
            model.model_validate(as_mapping(model, part.options))
        except ValidationError as error:
            raise self._explained(error, model, keys) from error
        except SuiteError as error:
            raise self.source.problem(keys, part_elsewhere(part.name, kind) or error) from error

    def _check_stage(
        self, stage: Part, kind: Kind, keys: Keys, received: int | None, names: dict[str, str]
    ) -> None:
        """Check one stage of a pipeline; its name joins those of the stages before."""
        is_first = kind == "first_stages"
        plain = without_keep(stage)
        try:
            refuse_optional(stage)
            keep = keep_of(stage)
            if keep and is_first and retrieved_by(plain):
                raise SuiteError("give keep or depth, not both: they say the same here")
            if not is_first and retrieval.is_first_stage(stage.name):
                raise SuiteError(
                    f"'{stage.name}' retrieves: it can only be the first of a pipeline"
                )
            model = nested.options_for(kind, stage.name)
            model.model_validate(as_mapping(model, plain.options))
            if not is_first:
                _refuse_idle(plain, keep)
            refuse_more(keep, received)
            _refuse_twice(plain, names)
        except ValidationError as error:
            raise self._explained(error, model, keys) from error
        except SuiteError as error:
            problem: object = error
            if is_first and part_elsewhere(stage.name, kind):
                problem = "a pipeline begins with a first stage, such as bm25"
            raise self.source.problem(keys, problem) from error

    def _refuse_reference(self, stage: Part, pipeline: str, keys: Keys) -> None:
        try:
            references.refuse_stage(stage, pipeline)
        except SuiteError as error:
            raise self.source.problem(keys, error) from error

    def _explained(
        self, error: ValidationError, model: type[BaseModel], prefix: Keys
    ) -> SuiteError:
        """Return an error of all of pydantic's problems. An unknown key that belongs somewhere else
        in the suite says where.
        """
        return self.source.explain(error, model, prefix, partial(place_of, self.top_level, prefix))


def _refuse_twice(stage: Part, names: dict[str, str]) -> None:
    """Raise SuiteError for a name that one before has, or that is the same in names of files."""
    name = display_name(stage)
    stem = file_stem(name)
    if stem in names:
        both = " and ".join(f"'{each}'" for each in sorted({names[stem], name}))
        raise SuiteError(f"two stages are named {both}: give one of them another 'name'")
    names[stem] = name


def _refuse_idle(stage: Part, keep: int | None) -> None:
    """Raise SuiteError for a cut that hands on all that it gets."""
    if keep is None and not stage.options and rerankers.only_shortens(stage.name):
        raise SuiteError("it hands on all that it gets: give keep, min_score or within")
