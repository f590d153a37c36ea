"""Where the judgments of a file come from, where a model made them: a JSON file next to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from pydantic import Field, ValidationError

from bench.core.digest import file_digest
from bench.core.errors import DataError
from bench.core.options import Options, first_problem

ENDING = ".provenance.json"
PEOPLE, MODEL = "people", "model"
"""Who made a judgment: what the second column of a written qrels file says."""


class PromptFacts(Options):
    """What the model was asked."""

    name: str
    digest: str = Field(description="SHA-256 of the text")
    text: str
    source: str = ""
    licence: str = ""


class Refused(Options):
    """A pair without a grade, and why."""

    query: str
    document: str
    reason: str


class Agreement(Options):
    """How far a person and the model agree, on a sample."""

    pairs: int = Field(ge=1)
    kappa: float | None
    low: float | None
    high: float | None
    weighted: float | None = Field(description="with quadratic weights")
    accuracy: float
    reviewed: str = Field(description="when it was read back")


class Provenance(Options):
    """Who judged what, how, and what it cost."""

    version: int = 1
    judge: str = Field(description="as it was given to --with")
    model: str
    served_model: str | None = Field(
        None, description="the name that its answers gave it, or the names, joined by `and`"
    )
    base_url: str | None = Field(None, description="without user and password")
    identity: dict[str, Any] = Field(description="what decides the answers, as far as it is known")
    prompt: PromptFacts
    temperature: float | None
    max_tokens: int
    date: str
    suite: str
    run: str = Field(description="the run whose rankings were pooled")
    run_digest: str = Field(description="SHA-256 of those rankings")
    dataset: str
    dataset_identity: dict[str, str | int]
    depth: int
    only_holes: bool
    pairs: int = Field(ge=0, description="pairs that the model was asked about")
    origins: dict[str, int] = Field(description="judgments in the file by who made them")
    grades: dict[str, int] = Field(description="pairs by the model's own grade, 0 to 3")
    written_as: tuple[int, int, int, int] = Field(
        description="what the grades 0, 1, 2 and 3 are in the file"
    )
    failures: tuple[Refused, ...] = ()
    cut_documents: int = 0
    calls: int = 0
    tokens: int = 0
    tokens_out: int = 0
    usd: float | None = None
    price: str | None = None
    answers: str = Field(description="the file that keeps all answers, as seen from this one")
    insisted: tuple[str, ...] = Field(
        (), description="ranked models of the judge's family, which was insisted upon"
    )
    qrels_digest: str = Field(description="SHA-256 of the file of judgments")
    agreement: Agreement | None = None


class JudgeFacts(TypedDict, total=False):
    """What a record says of judgments that a model made: `judged` of `judgments` are its own;
    `kappa` and `reviewed` are of a person's check; `changed` says that the file is no longer the
    one that was written.
    """

    model: str
    prompt: str
    judged: int
    judgments: int
    kappa: float | None
    reviewed: int
    insisted: list[str]
    changed: bool


def path_of(qrels: Path) -> Path:
    """Return the file that says where judgments come from."""
    return qrels.with_name(f"{qrels.name}{ENDING}")


def read(qrels: Path) -> Provenance | None:
    """Return where the judgments of a file come from; None where no model made them. Raises
    DataError for a file that cannot be read.
    """
    path = path_of(qrels)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    try:
        return Provenance.model_validate_json(text)
    except ValidationError as error:
        problem = first_problem(error, Provenance)
        raise DataError(f"{path}: {problem}") from error


def facts_of(qrels: Path, judgments: Mapping[str, Mapping[str, int]]) -> JudgeFacts | None:
    """Return what a record says of who made the judgments of a file; None where people did."""
    provenance = read(qrels)
    if provenance is None:
        return None
    facts = JudgeFacts(
        model=provenance.served_model or provenance.model,
        prompt=provenance.prompt.name,
        judged=provenance.origins.get(MODEL, 0),
        judgments=sum(map(len, judgments.values())),
        insisted=list(provenance.insisted),
    )
    if provenance.agreement is not None:
        facts["kappa"] = provenance.agreement.kappa
        facts["reviewed"] = provenance.agreement.pairs
    if file_digest(qrels) != provenance.qrels_digest:
        facts["changed"] = True
    return facts
