"""The base of everything that a suite may configure: strict, frozen, and ignorant of YAML.
Validation speaks in the words of a suite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from bench.core.errors import ALMOST_SURE, SuiteError, nearest, nearest_of
from bench.core.json_file import json_problem
from bench.core.numeric import refuse_boolean
from bench.core.plugins import is_ours
from bench.core.redaction import is_secret_name, redacted

_MAY_BE_SECRET = ("base_url", "api_key_env")
"""Options whose value is never shown: it may hold a password."""
_MESSAGES = {
    "tuple_type": "should be a list, as in [a, b]",
    "list_type": "should be a list, as in [a, b]",
    "dict_type": "should be a mapping, as in {key: value}",
    "mapping_type": "should be a mapping, as in {key: value}",
    "model_type": "should be a mapping, as in {key: value}",
    "model_attributes_type": "should be a mapping, as in {key: value}",
}
"""Problems of pydantic's, by type, that it words in terms of Python."""
FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_PATTERNS = {
    FOLDER_NAME: "names a folder: letters, digits, '.', '_' and '-', a letter or digit first",
}
"""What a pattern asks for, in words."""
_OBLIGATION = re.compile("^(Input )?should be ")
_EXPONENT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]{1,3}")
Model = TypeVar("Model", bound=BaseModel)
Keys = tuple[str | int, ...]
"""The keys and the places in lists that lead to a value."""
PlaceOf = Callable[[Keys], str]
"""Returns where the last of these keys belongs, as the end of a message; empty where nobody knows
it.
"""
Values = dict[str, object]
"""Values of options by name, each of the type that its option declares."""


class Options(BaseModel):
    """Options of one part. Unknown keys are errors, and so is a boolean in the place of a number;
    values are kept as given, so that a record can show them.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name in cls.model_fields:
            refuse_boolean(cls.model_fields[info.field_name].annotation, value)
        return value

    @classmethod
    def known_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields that may be given, by key."""
        return dict(cls.model_fields)


Decides = Literal["scores", "speed", "nothing"]
Place = Literal["value", "arithmetic", "elsewhere"]


@dataclass(frozen=True)
class Decision:
    """What an option decides, and where the identity of a stage holds it."""

    decides: Decides
    place: Place = "value"
    """As its value; as a part of the arithmetic, which says how a model runs and not which it is;
    or elsewhere, as what the value names: the digest of a file, an address, a commit.
    """
    added: bool = False
    """Whether keys leave the option out at its default, so that scores and runs from before it
    existed keep theirs.
    """
    default: Any = None
    """The default of the class; an entry of the catalogue may have another one."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, object]:
        """Return the JSON schema of the option, with what it decides."""
        return {**handler(core_schema), "decides": self.decides}


UNDECLARED = Decision("scores")
"""What an option of an outsider's class counts as that does not say: nothing is reused by mistake.
"""


def option(
    default: Any = ...,
    *,
    decides: Decides,
    place: Place = "value",
    added: bool = False,
    **constraints: Any,
) -> Any:
    """Return a field of a stage's options that says what it decides.

    `scores` are part of the stage's fingerprint, system key and speed key, `speed` of the speed key
    alone, `nothing` of no key. `constraints` go to pydantic's Field. Raises TypeError for anything
    else.
    """
    if decides not in get_args(Decides) or place not in get_args(Place):
        raise TypeError(
            f"option(decides={decides!r}, place={place!r}): decides is one of "
            f"{', '.join(get_args(Decides))}, place one of {', '.join(get_args(Place))}"
        )
    field = Field(default, **constraints)
    field.metadata.append(Decision(decides, place, added, _default(field)))
    return field


Kind = Literal["datasets", "first_stages", "rerankers"]
"""What an entry of a suite is, by the list that it would be in."""


class StageOptions(Options):
    """Options of a stage: a dataset, a first stage or a reranker. Each says what it decides."""

    holds: ClassVar[Mapping[str, Kind]] = {}
    """The options whose values are entries themselves, or lists of them, and of which kind."""

    @field_validator("*", mode="before")
    @classmethod
    def _same_in_json(cls, value: Any, info: ValidationInfo) -> Any:
        """Raise ValueError where no type turns the value that JSON makes of it back into it."""
        field = cls.model_fields.get(str(info.field_name))
        problem = ""
        if field is not None and not is_ours(cls) and _may_be_any(field.annotation):
            problem = json_problem(value)
        if problem:
            raise ValueError(problem)
        return value

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


def _may_be_any(annotation: Any) -> bool:
    return annotation in (Any, object) or any(map(_may_be_any, get_args(annotation)))


def decision(model: type[BaseModel], name: str) -> Decision:
    """Return what an option decides; the scores, where it does not say."""
    field = model.model_fields.get(name)
    if field is None:
        return UNDECLARED
    return _decision(field) or replace(UNDECLARED, default=_default(field))


def deciding(options: BaseModel, decides: Decides, place: Place = "value") -> Values:
    """Return name -> value of the options that decide this and that an identity holds in this
    place.
    """
    values: Values = {}
    for name, value in options:
        declared = decision(type(options), name)
        if (declared.decides, declared.place) == (decides, place):
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
    """Return options as an instance of their model.

    Raises SuiteError naming `where`, the key and the fix.
    """
    if isinstance(options, model):
        return options
    try:
        return model.model_validate(as_mapping(model, options))
    except ValidationError as error:
        problems = "; ".join(problem_text(problem, model) for problem in problems_of(error, model))
        raise SuiteError(f"{where}: {problems}") from error
    except SuiteError as error:
        raise SuiteError(f"{where}: {error}") from error


def as_mapping(model: type[BaseModel], options: object) -> Values:
    """Return options as a mapping.

    A bare value goes to the part's one required option: `run: path` is `run: {path: path}`.
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


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Any]:
    """Return pydantic's problems in our words, one per value: of one that none of several types
    takes, each of these has a problem of its own, under a key that names the type.
    """
    problems: dict[Keys, Any] = {}
    for problem in error.errors(include_url=False):
        keys = _without_types(problem["loc"], model)
        message = _message(problem)
        if keys in problems:
            message = f"{problems[keys]['msg']}, or {_OBLIGATION.sub('', message)}"
        problems[keys] = {**problem, "loc": keys, "msg": message}
    # of a list that may be a word as well: what is wrong inside of it says more
    inside = [keys for keys in problems if not any(map(_begins(keys), problems))]
    return [problems[keys] for keys in inside]


def _begins(keys: Keys) -> Callable[[Keys], bool]:
    return lambda longer: len(longer) > len(keys) and longer[: len(keys)] == keys


def _without_types(keys: Keys, model: type[BaseModel]) -> Keys:
    """Return the keys of a problem without those that name one of the types of an option."""
    own: list[str | int] = []
    places = iter(keys)
    for key in places:
        own.append(key)
        field = fields_of(model).get(str(key))
        if field is None:
            continue
        for candidate in _models_in(field.annotation):
            model = candidate
        if len(_types_of(field.annotation)) > 1:
            next(places, None)
    return tuple(own)


def _types_of(annotation: Any) -> list[Any]:
    if get_origin(annotation) not in (Union, UnionType):
        return [annotation]
    return [kind for kind in get_args(annotation) if kind is not NoneType]


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first of pydantic's problems in plain words."""
    return problem_text(problems_of(error, model)[0], model)


def problem_text(
    problem: Any,
    model: type[BaseModel],
    *,
    with_key: bool = True,
    place_of: PlaceOf = lambda keys: "",
) -> str:
    """Return one of `problems_of` in plain words: the key, what is wrong, and the nearest valid
    name or the value.

    `place_of` says where an unknown key belongs, where that is known.
    """
    keys = problem["loc"]
    key = ""
    if with_key and keys:
        key = f"option '{'.'.join(str(step) for step in keys)}': "
    if problem["type"] == "extra_forbidden":
        hint = _key_hint(keys, _fields_at(model, keys[:-1]), place_of)
        return f"{key}unknown key: {hint}"
    if problem["type"] == "missing":
        return f"{key}is missing"
    if problem["type"] == "too_short":
        return f"{key}needs at least {_count(problem['ctx']['min_length'])}"
    message = problem["msg"]
    # an abbreviation such as YAML stays as it is
    if not message[:2].isupper():
        message = f"{message[0].lower()}{message[1:]}"
    return f"{key}{message}{_value_text(problem)}"


def _message(problem: Any) -> str:
    """Return what is wrong, with a capital where pydantic writes one."""
    message: str = _MESSAGES.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
    return _PATTERNS.get(problem.get("ctx", {}).get("pattern"), message)


def _count(number: int) -> str:
    if number == 1:
        return "one"
    return str(number)


def _key_hint(keys: Keys, valid_keys: Sequence[str], place_of: PlaceOf) -> str:
    """Return what helps with an unknown key: its own place, unless it is a slip of a valid one."""
    key = str(keys[-1])
    if nearest_of(key, valid_keys, ALMOST_SURE):
        return nearest(key, valid_keys)
    return place_of(keys) or nearest(key, valid_keys)


def _value_text(problem: Any) -> str:
    """Return the value of one of pydantic's problems, and how to write it where it is a number that
    YAML reads as text. Empty for a secret, and for what is longer than a line.
    """
    value = problem.get("input")
    keys = problem["loc"]
    is_secret = any(step in _MAY_BE_SECRET or is_secret_name(str(step)) for step in keys)
    if is_secret or not isinstance(value, str | int | float | bool):
        return ""
    text = f" (given: {redacted(value)!r:.100})"
    is_of_other_type = problem["type"].endswith(("_parsing", "_type"))
    number = written_number(value)
    if number is None or not is_of_other_type:
        return text
    return f"{text}: write {number:f}".rstrip("0").rstrip(".")


def _fields_at(model: type[BaseModel], keys: tuple[Any, ...]) -> list[str]:
    """Return the keys that are valid at a location inside a model."""
    for step in keys:
        field = fields_of(model).get(str(step))
        if field is None:
            continue
        for candidate in _models_in(field.annotation):
            model = candidate
    return list(fields_of(model))


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields that may be given to any model, by key."""
    if issubclass(model, Options):
        return model.known_fields()
    return dict(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
