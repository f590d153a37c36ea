"""What a driver and its workers write to each other: a line of JSON each. Numbers come back bit for
bit: Python writes a float so that the same one is read.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.contract.meter import Meter
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList, Failure, Usage
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.note import read_note
from bench.core.outsiders import OutsiderError
from bench.scoring.job import Answer

Message = dict[str, Any]
"""What a line holds: `error`, or what its writer says."""


class WorkerTraceback(Exception):
    """The traceback of what an outsider's code raised in a worker."""


class WorkerError(OutsiderError):
    """What an outsider's code raised in a worker, as it reads where it was raised."""

    def __init__(self, line: str, cause: WorkerTraceback) -> None:
        super().__init__(cause)
        self.args = (line,)


def of_recipe(recipe: Recipe) -> str:
    return _line(asdict(recipe))


def recipe_of(line: str) -> Recipe:
    return Recipe(**json.loads(line))


def of_requests(requests: Sequence[CandidateList]) -> str:
    return _line({"requests": [request.to_dict() for request in requests]})


def requests_of(line: str) -> list[CandidateList]:
    return [CandidateList(**fields) for fields in json.loads(line)["requests"]]


def of_answer(answer: Answer, meter: Meter) -> str:
    outcomes: list[Message] = []
    for outcome in answer.outcomes:
        if isinstance(outcome, Failure):
            outcomes.append({"reason": outcome.reason})
        else:
            outcomes.append({"scores": outcome.tolist()})
    by_query = {query_id: asdict(usage) for query_id, usage in meter.by_query.items()}
    return _line(
        {
            "query_ids": list(answer.query_ids),
            "outcomes": outcomes,
            "doubt": None if answer.doubt is None else answer.doubt.to_dict(),
            "description": answer.description,
            "usage": asdict(meter.usage),
            "by_query": by_query,
        }
    )


def of_loaded(fields: Mapping[str, object]) -> str:
    """Return a line that says what a worker has loaded."""
    return _line(dict(fields))


def message_of(line: str) -> Message:
    """Return what a worker says. Raises what was raised there."""
    message: Message = json.loads(line)
    if "error" in message:
        raise _raised(message["error"])
    return message


def answer_of(line: str, meter: Meter) -> Answer:
    """Return the answer of a worker; what it used goes to the meter. Raises what was raised
    there.
    """
    import numpy as np

    message = message_of(line)
    outcomes: list[Any] = []
    for outcome in message["outcomes"]:
        if "reason" in outcome:
            outcomes.append(Failure(outcome["reason"]))
        else:
            outcomes.append(np.array(outcome["scores"], dtype=np.float64))
    rest = dict(message["usage"])
    for query_id, amounts in message["by_query"].items():
        meter.count(Usage(**amounts), query_id)
        rest = {name: value - amounts[name] for name, value in rest.items()}
    # what is known of the chunk alone: whole numbers, but for billed units, which may round below 0
    meter.count(Usage(**{name: max(0, value) for name, value in rest.items()}))
    doubt = message["doubt"]
    if doubt is not None:
        doubt = read_note(doubt)
    query_ids = tuple(message["query_ids"])
    return Answer(outcomes, doubt, message["description"], query_ids=query_ids)


def of_error(error: BenchError) -> str:
    message: Message = {"kind": type(error).__name__, "line": str(error)}
    if isinstance(error, Unavailable):
        message |= {"reason": error.reason, "fix": error.fix}
    if isinstance(error, OutsiderError):
        message["traceback"] = "".join(traceback.format_exception(error.cause))
    return _line({"error": message})


def _raised(error: Mapping[str, str]) -> BenchError:
    if error["kind"] == Unavailable.__name__:
        return Unavailable(error["reason"], error["fix"])
    if "traceback" in error:
        return WorkerError(error["line"], WorkerTraceback(error["traceback"]))
    return RerankerError(error["line"])


def _line(message: Message) -> str:
    return f"{json.dumps(message, default=str)}\n"
