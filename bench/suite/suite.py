"""A suite: a validated YAML file of datasets x first stages x rerankers, measures and a latency
plan.

One grammar serves the three lists: an entry is a name, or one name with its options (or, where an
option is the obvious one, its value):

    rerankers:
      - minilm-l6
      - cross-encoder: {model: ./my-model, max_length: 256}
      - run-file: runs/published.run
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
)

from bench.contract.part import Part
from bench.core.errors import SuiteError, nearest
from bench.core.handed import handed_over
from bench.core.options import FOLDER_NAME, Keys, Kind, Options
from bench.core.paths import RESERVED
from bench.core.plugins import look_in
from bench.core.redaction import keep_out
from bench.core.yaml_source import Source, plain_yaml, text_of
from bench.latency.timed_pass import LatencyPlan
from bench.quality.score_measures import is_of_scores, of_rankings, of_scores
from bench.scoring.executors import DEFAULT, entry_of, named
from bench.suite.handed_parts import Objects, with_names
from bench.suite.pipeline_entry import (
    PipelineEntry,
    without_keep,
)

if TYPE_CHECKING:
    from bench.suite.nested import Placed


def _not_reserved(name: str) -> str:
    if name.casefold() in RESERVED:
        raise ValueError(
            f"'{name}' means something else in the folder of results: give the suite another name"
        )
    return name


class Suite(Options):
    """The contents of a suite file. Paths in it are relative to the file's folder (`base_dir`)."""

    name: Annotated[str, AfterValidator(_not_reserved)] = Field(
        pattern=FOLDER_NAME, description="names the results folder"
    )
    description: str = Field("", description="one or two sentences for the report")
    datasets: tuple[Part, ...] = Field(
        min_length=1, description="embedded:NAME, files:FOLDER or irds:ID, with options"
    )
    first_stages: tuple[Part, ...] = Field(
        (Part.model_validate("bm25"),),
        min_length=1,
        description="bm25, run, scoreddocs or pyterrier, with options",
    )
    rerankers: tuple[Part, ...] = Field(
        (), description="names of the catalogue or backends, with options"
    )
    pipelines: tuple[PipelineEntry, ...] = Field(
        (), description="cascades: named lists of stages, each with what it hands on"
    )
    measures: tuple[str, ...] = Field(
        ("nDCG@10", "RR@10"),
        min_length=1,
        description="ir_measures names; the first one is the headline. ECE, Brier and AUC are of "
        "scores, and come after one of rankings",
    )
    depth: int = Field(100, ge=1, description="candidates per query")
    devices: tuple[str, ...] = Field(
        ("auto",), min_length=1, description="auto, cpu, cuda, cuda:N or mps"
    )
    latency: LatencyPlan | None = Field(
        LatencyPlan(), description="the timed pass; null leaves it out"
    )
    executor: Part = Field(
        Part.model_validate("here"),
        description="where scores are computed: here, in several processes of this machine, or in "
        "actors of Ray, also on a cluster; it changes no score, and timings are taken in one "
        "process",
    )
    chunk_pairs: int = Field(
        1024, ge=1, description="pairs after which scores reach the disk: what a kill can lose"
    )
    store_texts: bool = Field(
        True, description="keep texts of queries and top documents in the run, for its report"
    )
    store_scores: bool = Field(
        True, description="keep the score that each row gave to each document, in `scores/`"
    )
    slices: tuple[str, ...] = Field(
        (),
        description="fields of the queries by whose classes the report compares rerankers, such as "
        "language, and `length` and `difficulty`",
    )
    seed: int = Field(42, ge=0, description="seeds samples, bootstraps and permutations")

    _base_dir: Path = PrivateAttr(default=Path())
    _written: dict[str, Any] = PrivateAttr(default_factory=dict)
    _handed: Objects = PrivateAttr(default_factory=dict)

    @field_validator("measures", "devices", "slices", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("executor", mode="before")
    @classmethod
    def _one_executor(cls, value: Any) -> Any:
        if isinstance(value, str):
            return entry_of(value)
        if isinstance(value, Part) or (isinstance(value, dict) and len(value) == 1):
            return value
        raise ValueError(
            "one executor: a name, or one name with its options: 'processes' or 'processes: "
            "{workers: 4}'"
        )

    _source: Source | None = PrivateAttr(default=None)
    _places: tuple[int, ...] = PrivateAttr(default=())
    """Of each reranker, the place of the entry that it was written in; empty where all are as
    written.
    """

    @property
    def rank_measures(self) -> tuple[str, ...]:
        """The measures that are computed of rankings, query by query."""
        return of_rankings(self.measures)

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths are relative to."""
        return self._base_dir

    @property
    def handed(self) -> Objects:
        """The objects among its parts, by the names that a suite has for them."""
        return self._handed

    @property
    def written(self) -> dict[str, Any]:
        """The suite as its author wrote it, without the defaults."""
        return self._written

    def problem(self, keys: Keys, message: str) -> SuiteError:
        """Return an error that names the file, the line and the keys of a part."""
        if self._source is None:
            return SuiteError(message)
        if self._places and keys[:1] == ("rerankers",) and len(keys) > 1:
            keys = (keys[0], self._places[int(keys[1])], *keys[2:])
        return self._source.problem(keys, message)

    def resolved(self) -> dict[str, Any]:
        """Return everything, defaults included, as plain data."""
        data = self.model_dump(mode="json")
        data["datasets"] = [part.to_entry() for part in self.datasets]
        data["first_stages"] = [part.to_entry() for part in self.first_stages]
        data["rerankers"] = [part.to_entry() for part in self.rerankers]
        # suites that name no pipelines and no executor are those of before
        del data["pipelines"], data["executor"], data["slices"]
        if self.slices:
            data["slices"] = list(self.slices)
        if self.pipelines:
            data["pipelines"] = [pipeline.to_entry() for pipeline in self.pipelines]
        if self.executor.to_entry() != DEFAULT:
            data["executor"] = self.executor.to_entry()
        return data

    def with_executor(self, name: str) -> Suite:
        """Return the suite with another executor, by its name or the address of a cluster: the
        options that the suite has for it stay, but for what the name says. Raises SuiteError for an
        unknown one.
        """
        named(name)
        part = Part.model_validate(entry_of(name))
        if part.name == self.executor.name:
            options = {**(self.executor.options or {}), **(part.options or {})}
            part = part.model_copy(update={"options": options})
        return self.model_copy(update={"executor": part})

    def lists(self) -> Mapping[Kind, Sequence[Part]]:
        """Return the lists of entries, but for pipelines."""
        return {
            "datasets": self.datasets,
            "first_stages": self.first_stages,
            "rerankers": self.rerankers,
        }

    def placed(self) -> Iterator[Placed]:
        """Yield every entry of a valid suite, those among the options of others included."""
        from bench.suite import nested
        from bench.suite.cascade_entry import is_cascade

        entries: list[Placed] = []
        for kind, parts in self.lists().items():
            for number, part in enumerate(parts):
                entries.append(nested.Placed(kind, part, (kind, number, part.name)))
        for number, pipeline in enumerate(self.pipelines):
            for place, part in enumerate(pipeline.stages):
                keys: Keys = ("pipelines", number, "stages", place, part.name)
                kind = "rerankers"
                if place == 0:
                    kind = "first_stages"
                entries.append(nested.Placed(kind, without_keep(part), keys))
        for entry in entries:
            if entry.kind == "rerankers" and is_cascade(entry.part):
                yield from nested.stages_of(entry)
            else:
                yield entry
                yield from nested.inside(entry)


def load(source: str | Path | Mapping[str, Any]) -> Suite:
    """Return a suite from a file, from the name of a shipped suite, or from a mapping.

    Raises SuiteError naming file, line, key and fix.
    """
    if isinstance(source, Mapping):
        try:
            plain, objects = with_names(source)
            text = plain_yaml(plain)
        except (yaml.YAMLError, RecursionError) as error:
            raise SuiteError(
                f"the suite holds what YAML cannot: {' '.join(str(error).split())[:200]}; use "
                "text, numbers, lists, dicts"
            ) from error
        with handed_over(objects):
            suite = parse(text, "<suite>", Path.cwd())
        suite._handed = objects
        return suite
    path = find(source)
    return parse(text_of(path), str(path), path.resolve().parent)


def shipped() -> dict[str, Path]:
    """Return the suites that come with the package: name -> file."""
    folder = Path(str(resources.files("bench"))) / "suites"
    # in a source checkout the suites are at the top level
    if not folder.is_dir():
        folder = folder.parent.parent / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(source: str | Path) -> Path:
    """Return the file behind a path or the name of a shipped suite."""
    path = Path(source)
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise SuiteError(f"{path}: there is no such suite file")
    known = shipped()
    if str(source) not in known:
        raise SuiteError(
            f"there is no suite '{source}' ({nearest(str(source), known)}): give the name of a "
            "shipped suite or the path of a .yaml file"
        )
    return known[str(source)]


def parse(text: str, file: str, base_dir: Path) -> Suite:
    """Return the suite of a text, options of every part validated. Relative paths in it are
    relative to `base_dir`.
    """
    source = Source(text, file)
    if not isinstance(source.data, dict):
        raise source.problem(
            (), "a suite is a mapping with at least 'name', 'datasets' and 'rerankers'"
        )
    if "data" in source.data and "datasets" not in source.data:
        raise source.problem(
            ("data",), f"of a training recipe, and no suite: `rerank-bench train {file}` trains it"
        )
    look_in(base_dir)
    try:
        suite = Suite.model_validate(source.data)
    except ValidationError as error:
        from bench.suite.key_places import place_of

        raise source.explain(error, Suite, (), partial(place_of, Suite.model_fields, ())) from error
    suite._base_dir = base_dir
    keep_out(source.data)
    suite._written = source.data
    suite._source = source
    _check(suite, source)
    _check_names(suite, source)
    return _with_all_rows(suite, source)


def _with_all_rows(suite: Suite, source: Source) -> Suite:
    """Return the suite with the entries that are short for several rows written out."""
    from bench import rerankers

    parts: list[Part] = []
    places: list[int] = []
    for number, part in enumerate(suite.rerankers):
        try:
            own = rerankers.rows(part, suite.base_dir)
        except SuiteError as error:
            raise source.problem(("rerankers", number, part.name), error) from error
        parts += own
        places += [number] * len(own)
    if parts == list(suite.rerankers):
        return suite
    expanded = suite.model_copy(update={"rerankers": tuple(parts)})
    expanded._places = tuple(places)
    return expanded


def _check(suite: Suite, source: Source) -> None:
    """Validate each part's options by the model of the class that will take them; no heavy import
    happens here.
    """
    from bench.suite.checks import Checks

    keys = tuple(Suite.model_fields)
    checks = Checks(source, suite.base_dir, keys, suite.depth, suite.first_stages)
    for kind, parts in suite.lists().items():
        for number, part in enumerate(parts):
            checks.check_part(kind, part, (kind, number, part.name))
    checks.check_executor(suite.executor)
    for number, pipeline in enumerate(suite.pipelines):
        checks.check_pipeline(pipeline, ("pipelines", number))
    try:
        checks.check_files(suite.placed())
    except OSError as error:
        raise SuiteError(f"{source.file}: {error.filename}: {error.strerror}") from error


def _check_score_measures(suite: Suite, source: Source) -> None:
    """Raise SuiteError where measures of scores stand alone or first, or without scores."""
    of_both = [*suite.rank_measures, *(measure.name for measure in of_scores(suite.measures))]
    if not is_of_scores(suite.measures[0]):
        if len(of_both) > len(suite.rank_measures) and not suite.store_scores:
            raise source.problem(
                ("store_scores",),
                f"{of_both[-1]} is computed of the scores that a run keeps: leave out "
                "`store_scores: false`",
            )
        return
    name = suite.measures[0]
    first = next(iter(suite.rank_measures), "nDCG@10")
    raise source.problem(
        ("measures", 0),
        f"{name} is a measure of scores and ranks nothing: the first measure is the one that rows "
        f"are ranked by: write such as [{first}, {name}]",
    )


def _check_names(suite: Suite, source: Source) -> None:
    from bench.machine import fingerprint
    from bench.quality import measures as quality

    _check_score_measures(suite, source)
    for i, name in enumerate(suite.measures):
        if is_of_scores(name):
            continue
        try:
            quality.parse(name)
        except SuiteError as error:
            raise source.problem(("measures", i), error) from error
    for i, device in enumerate(suite.devices):
        if not fingerprint.is_device_name(device):
            raise source.problem(
                ("devices", i), f"'{device}' is not a device: auto, cpu, cuda, cuda:N or mps"
            )
