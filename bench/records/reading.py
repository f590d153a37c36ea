"""The JSON files of a run folder, read and validated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from bench.core.errors import RecordError
from bench.core.json_file import read_json
from bench.records.facts import FieldProblem
from bench.records.schema import OLDEST, SCHEMA_VERSION, ArchitectureRecord, Record, RunInfo

Model = TypeVar("Model", Record, ArchitectureRecord, RunInfo)
TrialModel = TypeVar("TrialModel", Record, ArchitectureRecord)


def validated(model: type[Model], path: Path) -> Model:
    """What a file holds. Raises RecordError naming the file and, where one of its values is wrong,
    the key.
    """
    try:
        data = read_json(path)
        version = data.get("schema_version")
        if isinstance(version, bool) or not isinstance(version, int):
            raise RecordError(
                f"{path}: not a record: schema_version has to be a number from {OLDEST} to "
                f"{SCHEMA_VERSION}, and is {json.dumps(version):.40}"
            )
        if version not in range(OLDEST, SCHEMA_VERSION + 1):
            raise RecordError(
                f"{path}: schema version {version}, this rerank-bench reads {OLDEST} to "
                f"{SCHEMA_VERSION}"
            )
        return model.model_validate(data)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, FieldProblem):
            raise RecordError(f"{path}: not a record: {key}.{cause}") from error
        raise RecordError(f"{path}: not a record: {key}: {first['msg']}") from error
    except (ValueError, AttributeError) as error:
        raise RecordError(f"{path}: not a record: {str(error).splitlines()[0]}") from error
