"""What a reader should know before trusting a number, as a code with counts. `bench.core.wording`
has the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, NotRequired, TypedDict

from pydantic import BeforeValidator, PlainSerializer


class Code(StrEnum):
    """What a note is about."""

    TEXT = "text"

    # a row
    TRAINED_ON = "trained-on"
    UNCOMPARED = "uncompared"
    RANDOM_WEIGHTS = "random-weights"
    OTHER_CANDIDATES = "other-candidates"
    MOSTLY_FAILED = "mostly-failed"
    FAILED = "failed"
    FEW_JUDGED = "few-judged"
    TIES = "ties"
    BEYOND_SINGLE_PRECISION = "beyond-single-precision"
    TRUNCATED = "truncated"
    CUT_QUERIES = "cut-queries"
    REPAIRS = "repairs"
    HALVINGS = "halvings"
    CUT_ANSWERS = "cut-answers"
    SPLIT_REQUESTS = "split-requests"
    BLANKS = "blanks"
    SHARED_BILL = "shared-bill"
    NO_RANKING = "no-ranking"
    UNTIMED = "untimed"

    # a collection
    BLANK_LINES = "blank-lines"
    UNREAD_FILES = "unread-files"
    BAD_ROWS = "bad-rows"
    NO_TEXT_FIELD = "no-text-field"
    REPEATED_DOCUMENTS = "repeated-documents"
    REPEATED_QUERIES = "repeated-queries"
    QUOTED_QUERIES = "quoted-queries"
    REPEATED_JUDGMENTS = "repeated-judgments"
    UNGRADED_JUDGMENTS = "ungraded-judgments"
    JUDGED_AGAIN = "judged-again"
    BLANK_QUERIES = "blank-queries"
    UNKNOWN_QUERIES = "unknown-queries"
    UNJUDGED_QUERIES = "unjudged-queries"
    UNJUDGED = "unjudged"
    JUDGED_BY_MODEL = "judged-by-model"
    WITHOUT_RELEVANT = "without-relevant"
    RELEVANT_ONLY = "relevant-only"
    UNKNOWN_DOCUMENTS = "unknown-documents"
    UNKNOWN_IN_SAMPLE = "unknown-in-sample"
    UNREACHABLE = "unreachable"
    BLANK_DOCUMENTS = "blank-documents"
    OWN_LEFT_OUT = "own-left-out"
    OWN_LEFT_IN = "own-left-in"

    # candidates and run files
    RANKS_ONLY = "ranks-only"
    CONTRADICTED = "contradicted"
    REPEATED_LINES = "repeated-lines"
    ABSENT_QUERIES = "absent-queries"
    FOREIGN_DOCUMENTS = "foreign-documents"
    FOREIGN_LISTS = "foreign-lists"
    TIED_CANDIDATES = "tied-candidates"
    CUT_IN_TIES = "cut-in-ties"
    SHORT_LISTS = "short-lists"
    NO_TOKEN = "no-token"
    NO_MATCH = "no-match"
    OTHER_SCRIPT = "other-script"
    INDEX_NOT_KEPT = "index-not-kept"
    TUNED_WEIGHTS = "tuned-weights"
    OTHER_MAP = "other-map"
    MAP_OF_THESE_QUERIES = "map-of-these-queries"
    FUSION_OF_THESE_QUERIES = "fusion-of-these-queries"
    MAP_MAY_REORDER = "map-may-reorder"
    FAR_SCORES = "far-scores"
    MODEL_TRAINING_UNKNOWN = "model-training-unknown"
    VECTORS_NOT_KEPT = "vectors-not-kept"
    VECTORS_DAMAGED = "vectors-damaged"
    CUT_DOCUMENTS = "cut-documents"
    APPROXIMATE = "approximate"
    SHALLOW = "shallow"
    NO_CANDIDATES = "no-candidates"
    OUT_OF_ORDER = "out-of-order"
    ABSENT_CANDIDATES = "absent-candidates"
    EXTRA_DOCUMENTS = "extra-documents"

    # a reranker
    CAUTION = "caution"
    SLOW_FORMAT = "slow-format"
    OTHER_FORMAT = "other-format"
    SERVER_SILENT = "server-silent"
    SERVER_UNKNOWN = "server-unknown"

    # timings
    UNSETTLED = "unsettled"
    FAILED_CALLS = "failed-calls"
    GIVEN_UP = "given-up"
    NO_TIME = "no-time"
    RETRIED_CALLS = "retried-calls"
    SPLIT_BATCHES = "split-batches"
    QUERIES_OUT_OF_TIME = "queries-out-of-time"
    ROUNDS_OUT_OF_TIME = "rounds-out-of-time"
    PAIRS_OUT_OF_TIME = "pairs-out-of-time"
    COLD_FAILED = "cold-failed"
    PAGE_CACHE = "page-cache"
    QUEUE_GREW = "queue-grew"
    UNANSWERED = "unanswered"
    FAILED_ARRIVALS = "failed-arrivals"
    FOREIGN_CPU = "foreign-cpu"
    LOAD = "load"
    QUOTA = "quota"
    CPU_HEAT = "cpu-heat"
    GPU_HEAT = "gpu-heat"
    NOISE_FLOOR = "noise-floor"
    SWEEP_LEFT_OUT = "sweep-left-out"
    SWEEP_NOT_SCORED = "sweep-not-scored"
    SWEEP_FAILED = "sweep-failed"
    TIMING_ENDED = "timing-ended"

    # a run
    CONTINUED = "continued"
    SHARED_PAIRS = "shared-pairs"
    CACHE_DAMAGED = "cache-damaged"
    CACHE_UNREADABLE = "cache-unreadable"
    CACHE_CLOSED = "cache-closed"
    CACHE_IMPOSSIBLE = "cache-impossible"
    CACHE_NOT_KEPT = "cache-not-kept"
    WORKER_DIED = "worker-died"


class NoteFields(TypedDict):
    """A note in JSON."""

    code: str
    count: NotRequired[float]
    total: NotRequired[float]
    text: NotRequired[str]
    where: NotRequired[str]
    names: NotRequired[dict[str, str]]


@dataclass(frozen=True)
class Note:
    """A code with its numbers: `count` of `total`, and the names that its sentence holds, such as
    that of a file. `text` came from elsewhere, such as the reason of a failure; a record of an
    earlier version holds sentences, which are the texts of notes of code `text`. `where` is what it
    is about where that is not the row or the run that holds it.
    """

    code: Code
    count: float = 0.0
    total: float = 0.0
    text: str = ""
    where: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def at(self, where: str) -> Note:
        """Return the note about something that is named."""
        inner = f", {self.where}" if self.where else ""
        return replace(self, where=f"{where}{inner}")

    def to_dict(self) -> NoteFields:
        """Return the fields that say something, for JSON."""
        fields: NoteFields = {"code": self.code.value}
        if self.count:
            fields["count"] = self.count
        if self.total:
            fields["total"] = self.total
        if self.text:
            fields["text"] = self.text
        if self.where:
            fields["where"] = self.where
        if self.names:
            fields["names"] = dict(self.names)
        return fields

    def __hash__(self) -> int:
        return hash((self.code, self.count, self.total, self.text, self.where))


MAX_COUNT = 2**53
"""Counts are below it: from here on a float skips whole numbers."""


def note(
    code: Code, count: float = 0.0, total: float = 0.0, text: str = "", **names: object
) -> Note:
    """Return a note whose sentence holds these names."""
    words = {name: str(value) for name, value in names.items()}
    return Note(code, count, total, text, names=words)


def read_note(value: Any) -> Note:
    """Return a note from JSON, from a sentence, or as it is. Raises ValueError for anything
    else.
    """
    if isinstance(value, Note):
        return value
    if isinstance(value, str):
        return Note(Code.TEXT, text=value)
    if not isinstance(value, dict):
        raise ValueError(f"a note is a code with counts, and not of type {type(value).__name__}")
    names = value.get("names", {})
    if not isinstance(names, dict):
        raise ValueError("the names of a note are no mapping")
    return Note(
        Code(str(value.get("code"))),
        _number(value.get("count", 0.0)),
        _number(value.get("total", 0.0)),
        str(value.get("text", "")),
        str(value.get("where", "")),
        {str(name): str(word) for name, word in names.items()},
    )


def read_notes(values: Any) -> tuple[Note, ...]:
    """Return the notes of a list from JSON. Raises ValueError for anything else."""
    if not isinstance(values, list | tuple):
        raise ValueError(f"notes are a list, and not of type {type(values).__name__}")
    return tuple(map(read_note, values))


def _number(value: Any) -> float:
    """Return a count as JSON holds it: a finite number, 0 or more."""
    if not isinstance(value, int | float) or not 0 <= value < MAX_COUNT:
        raise ValueError(f"a count of a note is {value!r:.40}; it is a number, 0 or more")
    return float(value)


StoredNote = Annotated[
    Note, BeforeValidator(read_note), PlainSerializer(Note.to_dict, return_type=dict)
]
"""A note as a field of a record."""


class Notes:
    """Notes with counts that grow while something is read."""

    def __init__(self) -> None:
        self._notes: dict[tuple[Code, tuple[tuple[str, object], ...]], Note] = {}

    def add(
        self, code: Code, count: float, total: float = 0.0, text: str = "", **names: object
    ) -> None:
        """Count what was skipped or odd; of the same code and names it is the same note."""
        if not count:
            return
        key = (code, tuple(names.items()))
        before = self._notes.get(key, Note(code))
        self._notes[key] = note(code, before.count + count, total, text, **names)

    def all(self) -> tuple[Note, ...]:
        """Return the notes, in the order in which they first came."""
        return tuple(self._notes.values())
