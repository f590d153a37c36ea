"""The base of everything that a suite may configure: strict, frozen, and ignorant of YAML.
Validation speaks in the words of a suite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from bench.core.errors import SuiteError, nearest
from bench.core.plugins import is_ours
from bench.core.redaction import is_secret_name, redacted

_MAY_BE_SECRET = ("base_url", "api_key_env")
"""Options whose value is never shown: it may hold a password."""
_EXPONENT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]{1,3}")
Model = TypeVar("Model", bound=BaseModel)


class Options(BaseModel):
    """Options of one part. Unknown keys are errors; values are kept as given, so that a record can
    show them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @classmethod
    def known_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields that may be given, by key."""
        return dict(cls.model_fields)


Decides = Literal["scores", "speed", "nothing"]
Held = Literal["value", "arithmetic", "elsewhere"]


@dataclass(frozen=True)
class Decision:
    """What an option decides, and how the identity of a stage holds it."""

    decides: Decides
    held: Held = "value"
    """As its value; as a part of the arithmetic, which says how a model runs and not which it is;
    or elsewhere, as what the value names: the digest of a file, an address, a commit.
    """
    added: bool = False
    """Whether keys leave the option out at its default, so that scores and runs from before it
    existed keep theirs.
    """
    default: Any = None
    """The default of the class; an entry of the catalogue may have another one."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Return the JSON schema of the option, with what it decides."""
        return {**handler(core_schema), "decides": self.decides}


UNDECLARED = Decision("scores")
"""What an option of an outsider's class counts as that does not say: nothing is reused by mistake.
"""


def option(
    default: Any = ...,
    *,
    decides: Decides,
    held: Held = "value",
    added: bool = False,
    **constraints: Any,
) -> Any:
    """Return a field of a stage's options that says what it decides.

    `scores` are part of the stage's fingerprint, system key and speed key, `speed` of the speed key
    alone, `nothing` of no key. `constraints` go to pydantic's Field. Raises TypeError for anything
    else.
    """
    if decides not in get_args(Decides) or held not in get_args(Held):
        raise TypeError(
            f"option(decides={decides!r}, held={held!r}): decides is one of "
            f"{', '.join(get_args(Decides))}, held one of {', '.join(get_args(Held))}"
        )
    field = Field(default, **constraints)
    field.metadata.append(Decision(decides, held, added, _default(field)))
    return field


class StageOptions(Options):
    """Options of a stage: a dataset, a first stage or a reranker. Each says what it decides."""

    @classmethod
    def __pydantic_init_subclass__(cls, **arguments: Any) -> None:
        """Raise TypeError where an option of this project does not say what it decides."""
        super().__pydantic_init_subclass__(**arguments)
        if is_ours(cls):
            for name, field in cls.model_fields.items():
                if _decision(field) is None:
                    raise TypeError(
                        f"{cls.__module__}.{cls.__name__}: the option '{name}' does not say what "
                        f'it decides: write {name} = option(..., decides="scores"), "speed" or '
                        '"nothing"'
                    )


def decision(model: type[BaseModel], name: str) -> Decision:
    """Return what an option decides; the scores, where it does not say."""
    field = model.model_fields.get(name)
    if field is None:
        return UNDECLARED
    return _decision(field) or replace(UNDECLARED, default=_default(field))


def deciding(options: BaseModel, decides: Decides, held: Held = "value") -> dict[str, Any]:
    """Return name -> value of the options that decide this and are held in this way."""
    values: dict[str, Any] = {}
    for name, value in options:
        declared = decision(type(options), name)
        if (declared.decides, declared.held) == (decides, held):
            values[name] = value
    return values


def at_default(options: BaseModel) -> frozenset[str]:
    """Return the names of the options that have the default of their class."""
    model = type(options)
    return frozenset(name for name, value in options if value == decision(model, name).default)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _decision(field: FieldInfo) -> Decision | None:
    for part in field.metadata:
        if isinstance(part, Decision):
            return part
    return None


def written_number(value: object) -> float | None:
    """Return the number that a text such as 1e-2 is, which YAML reads as text for want of a point;
    None for anything else.
    """
    if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
        return float(value)
    return None


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
    is_type = problem["type"].endswith(("_parsing", "_type"))
    number = written_number(given) if shown and is_type else None
    fix = "" if number is None else f": write {number:f}".rstrip("0").rstrip(".")
    return f"{place}{message}{shown}{fix}"


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Return the keys that are valid at a location inside a model."""
    for step in loc:
        field = _fields(model).get(str(step))
        for candidate in _models_in(field.annotation if field else None):
            model = candidate
    return list(_fields(model))


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return model.known_fields() if issubclass(model, Options) else dict(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
