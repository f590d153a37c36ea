"""A suite: what is asked for. A validated YAML file of datasets x first stages x rerankers,
measures and a latency plan.

One grammar serves the three lists: an entry is a name, or one name with its options (or, where an
option is the obvious one, its value):

    rerankers:
      - minilm-l6
      - cross-encoder: {model: ./my-model, max_length: 256}
      - run-file: runs/published.run
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from bench.core.errors import SuiteError, nearest
from bench.core.options import Options, as_mapping
from bench.core.paths import RESERVED, expanded
from bench.core.plugins import look_in
from bench.core.redaction import keep_out
from bench.core.yaml_source import Keys, Source
from bench.latency.timed_pass import LatencyPlan


class Part(Options):
    """One entry of a list: a name and its options, as written."""

    name: str
    options: Any = None

    @model_validator(mode="before")
    @classmethod
    def _from_entry(cls, entry: Any) -> Any:
        if isinstance(entry, str):
            return {"name": entry, "options": None}
        if isinstance(entry, dict) and set(entry) == {"name", "options"}:
            return entry
        if isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry)), str):
            name, options = next(iter(entry.items()))
            return {"name": name, "options": options}
        raise ValueError(
            "an entry is a name, or one name with its options: 'bm25' or 'bm25: {k1: 0.9}'"
        )

    def to_entry(self) -> Any:
        """The entry as a suite file writes it."""
        return self.name if self.options is None else {self.name: self.options}


def _not_reserved(name: str) -> str:
    if name.casefold() in RESERVED:
        raise ValueError(
            f"'{name}' means something else in the folder of results: give the suite another name"
        )
    return name


class Suite(Options):
    """The contents of a suite file. Paths in it are relative to the file's folder (`base_dir`)."""

    name: Annotated[str, AfterValidator(_not_reserved)] = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="names the results folder"
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
    measures: tuple[str, ...] = Field(
        ("nDCG@10", "RR@10"),
        min_length=1,
        description="ir_measures names; the first one is the headline",
    )
    depth: int = Field(100, ge=1, description="candidates per query")
    devices: tuple[str, ...] = Field(
        ("auto",), min_length=1, description="auto, cpu, cuda, cuda:N or mps"
    )
    latency: LatencyPlan | None = Field(
        LatencyPlan(), description="the timed pass; null leaves it out"
    )
    chunk_pairs: int = Field(
        1024, ge=1, description="scores reach the disk every so many pairs: what a kill can lose"
    )
    store_texts: bool = Field(
        True, description="keep texts of queries and top documents in the run, for its report"
    )
    seed: int = Field(42, ge=0, description="seeds samples, bootstraps and permutations")

    _base_dir: Path = PrivateAttr(default=Path())
    _asked: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("measures", "devices", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @property
    def base_dir(self) -> Path:
        return self._base_dir

    @property
    def asked(self) -> dict[str, Any]:
        """The suite as its author wrote it, without the defaults."""
        return self._asked

    def resolved(self) -> dict[str, Any]:
        """Everything, defaults included, as plain data."""
        data = self.model_dump(mode="json")
        for key in ("datasets", "first_stages", "rerankers"):
            data[key] = [part.to_entry() for part in getattr(self, key)]
        return data


def load(source: str | Path | Mapping[str, Any]) -> Suite:
    """A suite from a file, from the name of a shipped suite, or from a mapping. Raises SuiteError
    naming file, line, key and fix.
    """
    if isinstance(source, Mapping):
        try:
            text = yaml.safe_dump(dict(source), allow_unicode=True)
        except (yaml.YAMLError, RecursionError) as error:
            raise SuiteError(
                f"the suite holds what YAML cannot: {' '.join(str(error).split())[:200]}; use "
                "text, numbers, lists, dicts"
            ) from error
        return parse(text, "<suite>", Path.cwd())
    path = find(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path), path.resolve().parent)


def shipped() -> dict[str, Path]:
    """The suites that come with the package: name -> file."""
    folder = Path(str(resources.files("bench"))) / "suites"
    if not folder.is_dir():  # a source checkout: the suites stand at the top level
        folder = folder.parent.parent / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(source: str | Path) -> Path:
    """The file behind a path or the name of a shipped suite."""
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
    """Validate suite text, options of every part included. `base_dir` is what relative paths in it
    are relative to.
    """
    source = Source(text, file)
    if not isinstance(source.data, dict):
        raise source.problem(
            (), "a suite is a mapping with at least 'name', 'datasets' and 'rerankers'"
        )
    look_in(base_dir)
    try:
        suite = Suite.model_validate(source.data)
    except ValidationError as error:
        raise source.explain(error, Suite) from error
    suite._base_dir = base_dir
    keep_out(source.data)
    suite._asked = source.data
    _check_parts(suite, source)
    try:
        _check_files(suite, source)
    except OSError as error:
        raise SuiteError(f"{file}: {error.filename}: {error.strerror}") from error
    _check_names(suite, source)
    return suite


def _check_parts(suite: Suite, source: Source) -> None:
    """Validate each part's options by the model of the class that will take them; no heavy import
    happens here.
    """
    from bench import datasets, rerankers, retrieval

    folders: tuple[tuple[str, Callable[[str], type[BaseModel]]], ...] = (
        ("datasets", datasets.options_for),
        ("first_stages", retrieval.options_for),
        ("rerankers", rerankers.options_for),
    )
    for key, options_for in folders:
        for i, part in enumerate(getattr(suite, key)):
            keys: Keys = (key, i, part.name)
            try:
                model = options_for(part.name)
                model.model_validate(as_mapping(model, part.options))
            except ValidationError as error:
                raise source.explain(error, model, keys) from error
            except SuiteError as error:
                raise source.problem(keys, error) from error


def _check_files(suite: Suite, source: Source) -> None:
    """Every file or folder that the suite names is there: told now, not after an hour of
    scoring.
    """
    from bench.datasets.files import locate

    for i, part in enumerate(suite.datasets):
        kind, _, reference = part.name.partition(":")
        if kind == "files" and not locate(reference, suite.base_dir)[0].exists():
            raise source.problem(
                ("datasets", i, part.name),
                f"there is no {reference.partition('#')[0]} in {suite.base_dir}",
            )
    for key in ("first_stages", "rerankers"):
        for i, part in enumerate(getattr(suite, key)):
            path = part.options.get("path") if isinstance(part.options, Mapping) else part.options
            if (
                part.name in ("run", "run-file")
                and not (suite.base_dir / expanded(str(path))).exists()
            ):
                raise source.problem((key, i, part.name), f"there is no {path} in {suite.base_dir}")


def _check_names(suite: Suite, source: Source) -> None:
    from bench.machine import fingerprint
    from bench.quality import measures as quality

    for i, name in enumerate(suite.measures):
        try:
            quality.parse(name)
        except SuiteError as error:
            raise source.problem(("measures", i), error) from error
    for i, device in enumerate(suite.devices):
        if not fingerprint.is_device_name(device):
            raise source.problem(
                ("devices", i), f"'{device}' is not a device: auto, cpu, cuda, cuda:N or mps"
            )
