"""The base of everything that a suite may configure: strict, frozen, and ignorant of YAML.
Validation speaks in the words of a suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.core.errors import SuiteError, nearest
from bench.core.redaction import is_secret_name, redacted

_MAY_BE_SECRET = ("base_url", "api_key_env")
"""Options whose value is never shown: it may hold a password."""
Model = TypeVar("Model", bound=BaseModel)


class Options(BaseModel):
    """Options of one part. Unknown keys are errors; values are kept as given, so that a record can
    show them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def validated(model: type[Model], options: Any, where: str) -> Model:
    """Options as an instance of their model. Raises SuiteError naming `where`, the key and the
    fix.
    """
    if isinstance(options, model):
        return options
    try:
        return model.model_validate(as_mapping(model, options))
    except ValidationError as error:
        raise SuiteError(
            f"{where}: {'; '.join(problem_text(problem, model) for problem in error.errors())}"
        ) from error
    except SuiteError as error:
        raise SuiteError(f"{where}: {error}") from error


def as_mapping(model: type[BaseModel], options: Any) -> dict[str, Any]:
    """Options as a mapping: a bare value goes to the part's one required option, so that `run:
    path` is `run: {path: path}`.
    """
    if options is None:
        return {}
    if isinstance(options, Mapping):
        return dict(options)
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if len(required) != 1:
        raise SuiteError(
            f"options must be a mapping such as {{{', '.join(list(model.model_fields)[:3])}: "
            f"...}}, not '{options}'"
        )
    return {required[0]: options}


def problem_text(problem: Any, model: type[BaseModel], *, with_key: bool = True) -> str:
    """One of pydantic's problems in plain words: the key, what is wrong, the nearest valid name or
    the value given.
    """
    loc = problem["loc"]
    place = f"option '{'.'.join(str(step) for step in loc)}': " if with_key and loc else ""
    if problem["type"] == "extra_forbidden":
        return f"{place}unknown key: {nearest(str(loc[-1]), _fields_at(model, loc[:-1]))}"
    if problem["type"] == "missing":
        return f"{place}is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem.get("input")
    is_secret = any(step in _MAY_BE_SECRET or is_secret_name(str(step)) for step in loc)
    shown = (
        f" (given: {redacted(given)!r:.100})"
        if isinstance(given, str | int | float | bool) and not is_secret
        else ""
    )
    if not message[:2].isupper():  # an abbreviation such as YAML stays as it is
        message = f"{message[0].lower()}{message[1:]}"
    return f"{place}{message}{shown}"


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The field names valid at a location inside a model."""
    for step in loc:
        field = model.model_fields.get(str(step))
        for candidate in _models_in(field.annotation if field else None):
            model = candidate
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
