"""What the probes of a reranker gave, as a file: `rerank-bench probe` writes it, reports and gates
read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from bench.core.atomic import write_atomically
from bench.core.errors import RecordError
from bench.core.filenames import file_stem
from bench.core.json_file import read_json
from bench.core.options import Options, first_problem
from bench.records.keys import Key
from bench.records.run import Run

FORMAT: Literal["rerank-bench probes"] = "rerank-bench probes"
VERSION = 1
FOLDER = "probes"
NAMES = (
    "second-call",
    "reversed",
    "shuffled",
    "alone",
    "batch-size",
    "neighbour",
    "split",
    "blank",
    "duplicate",
    "title",
    "json",
    "markdown",
    "paraphrase",
    "negation",
    "repetition",
    "length",
    "injection",
    "position",
    "upper-case",
    "typos",
)
"""The probes, in the order of the report; `bench.probes` has what each of them does."""
Expectation = Literal["order", "quality", "direction", "information"]
"""What a probe expects: the same order; no lower quality; no higher score of one document; nothing,
it reports how sensitive the reranker is.
"""
Outcome = Literal["holds", "accused", "reported", "not applicable", "failed"]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class MeanChange(Options):
    """A mean of paired differences over queries, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


class ProbeResult(Options):
    """What one probe gave. Numbers are None where the probe was not applied or failed."""

    name: str
    expects: Expectation
    outcome: Outcome
    reason: str = ""
    queries: Count = Field(0, description="queries whose lists were all answered")
    failed: Count = Field(0, description="queries of which some list was not answered")
    first_changed: Share | None = Field(
        None, description="share of queries with another first document"
    )
    tau: float | None = Field(None, ge=-1, le=1, description="mean Kendall tau of the two orders")
    swapped: Share | None = Field(
        None,
        description="mean share of the pairs of documents further apart than the tolerance that "
        "changed their order",
    )
    change: MeanChange | None = Field(None, description="paired change of the measure")
    gain: MeanChange | None = Field(
        None, description="paired gain of one document, as a share of the range of its list"
    )


class ProbeFile(Options):
    """The probes of one reranker over one set of lists."""

    format: Literal["rerank-bench probes"] = FORMAT
    version: int = VERSION
    reranker: str
    device: str | None = None
    system: Key
    dataset: str
    judged_by: str = Field("", description="a sentence on who judged it, where that was a model")
    first_stage: str
    depth: Count
    query_ids: list[str]
    seed: int
    measure: str
    tolerance: float = Field(
        description="share of a list's range of scores that the number format explains"
    )
    repeats: bool = Field(description="whether two identical calls gave the same numbers")
    results: list[ProbeResult]
    measured_at: str
    software: str = Field(description="version of rerank-bench")

    def result(self, name: str) -> ProbeResult | None:
        """Return the result of a probe; None where the file has none."""
        return next((result for result in self.results if result.name == name), None)

    @property
    def was_probed(self) -> bool:
        """Whether some probe was applied."""
        return any(result.outcome != "not applicable" for result in self.results)

    def named(self, outcome: Outcome) -> list[str]:
        """Return the names of the probes with an outcome."""
        return [result.name for result in self.results if result.outcome == outcome]


def write(path: Path, probes: ProbeFile) -> None:
    """Write a probe file. Raises BenchError where it cannot be written."""
    text = json.dumps(probes.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_atomically(path, f"{text}\n".encode())


def write_in(folder: Path, probes: ProbeFile) -> Path:
    """Write the probes of a row into a folder. Returns their file: another one where a row of this
    name had other options, whose probes stay.
    """
    words = (probes.reranker, probes.device, probes.dataset, probes.first_stage)
    stem = "--".join(filter(None, words)).replace(":", "-")
    path = folder / f"{file_stem(stem)}.json"
    if any(before.system.hash != probes.system.hash for before in _readable([path])):
        path = folder / f"{file_stem(f'{stem}--{probes.system.hash}')}.json"
    write(path, probes)
    return path


def read(path: Path) -> ProbeFile:
    """Return a probe file. Raises RecordError for one that cannot be read or is none."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: no file of probes: {error}") from error
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise RecordError(f"{path}: no file of probes: `rerank-bench probe` writes one")
    if content.get("version") != VERSION:
        raise RecordError(
            f"{path}: probes of version {content.get('version')}, and this rerank-bench reads "
            f"version {VERSION}: run `rerank-bench probe` again"
        )
    try:
        return ProbeFile.model_validate(content)
    except ValidationError as error:
        raise RecordError(f"{path}: {first_problem(error, ProbeFile)}") from error


def of_run(run: Run, trial_id: str) -> ProbeFile | None:
    """Return the newest probes of the system of a run's row: from the folder `probes` of the run,
    or next to the run's suite, where `rerank-bench probe` writes. None where there are none.
    """
    record = run.records.get(trial_id)
    if record is None or "system" not in record.keys:
        return None
    folder = Path(run.folder)
    paths = [*(folder / FOLDER).glob("*.json"), *(folder.parent.parent / FOLDER).glob("*.json")]
    system = record.keys["system"].hash
    same = [probes for probes in _readable(paths) if probes.system.hash == system]
    return max(same, key=lambda probes: probes.measured_at, default=None)


def _readable(paths: Iterable[Path]) -> list[ProbeFile]:
    """Return the probe files among these; other files may lie next to them."""
    files: list[ProbeFile] = []
    for path in paths:
        try:
            files.append(read(path))
        except RecordError:
            continue
    return files
