"""Any class with `score(pairs)`, or with `predict(pairs)` as a CrossEncoder has, as a reranker:
nothing needs to be inherited.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, model_validator
from pydantic.fields import FieldInfo

from bench.contract.stage import Description
from bench.core.json_file import json_problem
from bench.core.plugins import name_of
from bench.rerankers.base import PointwiseReranker
from bench.rerankers.options import RerankerOptions
from bench.rerankers.outside.calls import check_method

if TYPE_CHECKING:
    from bench.contract.request import Scores

METHODS = ("score", "predict")


class OwnOptions(RerankerOptions):
    """The options that every reranker takes; all others are arguments of the class."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())
    parameters: ClassVar[inspect.Signature | None] = None

    @classmethod
    def known_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields that may be given, by key: the arguments of the class too."""
        fields = dict(cls.model_fields)
        if cls.parameters is not None:
            for name, parameter in cls.parameters.parameters.items():
                if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                    fields.setdefault(name, FieldInfo())
        return fields

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _fits_the_class(self) -> OwnOptions:
        if self.parameters is not None:
            try:
                self.parameters.bind(**self.arguments)
            except TypeError as error:
                raise ValueError(f"its class does not take these options: {error}") from error
        for name, value in self.arguments.items():
            if problem := json_problem(value):
                raise ValueError(f"{name}: {problem}")
        return self


class OwnReranker(PointwiseReranker):
    """Makes the object when it loads, and hands it all pairs of a chunk at once. Never cached,
    since nobody can tell whether the class is still the same. A parameter `device` of the class
    gets the device of the suite.
    """

    Options: ClassVar[type[RerankerOptions]] = OwnOptions
    make: ClassVar[staticmethod[..., Any]]
    options: OwnOptions

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._object: Any = None

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def load(self) -> None:
        if self._object is None:
            arguments = self.options.arguments
            parameters = self.options.parameters
            if parameters and "device" in parameters.parameters:
                arguments.setdefault("device", self.device)
            self._object = self.make(**arguments)

    def describe(self) -> Description:
        return Description(
            "class",
            {"class": name_of(type(self._object)), **self.options.arguments},
            {"device": self.device},
        )

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        method = getattr(self._object, method_of(self._object))
        scores: Scores = method(list(pairs))
        return scores

    def close(self) -> None:
        close = getattr(self._object, "close", None)
        self._object = None
        if callable(close):
            close()


def scores_pairs(candidate: Any) -> bool:
    """Return whether a class or an object has a method that scores pairs."""
    return bool(method_of(candidate))


def method_of(candidate: Any) -> str:
    """Return the name of the method that scores pairs; empty where there is none."""
    names = (name for name in METHODS if callable(getattr(candidate, name, None)))
    return next(names, "")


def wrap_own(candidate: Any) -> type[OwnReranker]:
    """Return a reranker class around an outsider's class, or around an object of one. Raises
    SuiteError where its method takes other arguments than the pairs, or answers with no numbers.
    """
    check_method(candidate, method_of(candidate), ("pairs",), name_of(candidate))
    make: Callable[..., Any] = candidate
    parameters: inspect.Signature | None = inspect.Signature()
    if inspect.isclass(candidate):
        try:
            parameters = inspect.signature(candidate)
        except ValueError:  # a class written in C
            parameters = None
    else:

        def make() -> Any:
            return candidate

    options = type(
        "OwnOptions",
        (OwnOptions,),
        {"parameters": parameters, "__annotations__": {"parameters": "ClassVar[Any]"}},
    )
    options.__module__ = __name__
    return type("OwnReranker", (OwnReranker,), {"make": staticmethod(make), "Options": options})
