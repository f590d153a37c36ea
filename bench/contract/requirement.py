"""What a stage needs to run: packages, weights, keys, servers, devices.

A stage names them (`Stage.requirements`); lists show them, `check` of a stage requires them. A kind
of its own is a class with a title, what is missing at a glance, and the error that says what helps.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from bench.core.errors import RerankerError, Unavailable
from bench.core.outsiders import kind_of, outsiders_code
from bench.core.plugins import name_of


class Requirement(ABC):
    """One thing that a stage needs."""

    @property
    def title(self) -> str:
        """What a list of rerankers calls it, in a word; empty where it is not worth a word."""
        return ""

    @property
    def variable(self) -> str:
        """The environment variable that holds it; empty where none does."""
        return ""

    def missing(self) -> str:
        """Return what is missing, in two or three words; empty where nothing is.

        A glance for lists: imports nothing heavy and asks no server.
        """
        return ""

    @abstractmethod
    def require(self) -> None:
        """Raise Unavailable, with what helps, where a stage could not run without it now.

        Raises RerankerError where it is here and cannot be used.
        """


def requirements_of(stage: Stated, kind: type) -> Sequence[Requirement]:
    """Return what a stage needs. `kind` is the class whose code says so. Raises RerankerError where
    that is no list of requirements, and OutsiderError for what its code raises.
    """
    method = f"requirements() of {name_of(kind)}"
    needs = "it returns a list of requirements, such as [Package('faiss')]"
    with outsiders_code(method):
        value: Any = stage.requirements()
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise RerankerError(f"{method} returned {kind_of(value)}; {needs}")
        requirements = list(value)
    for requirement in requirements:
        if not isinstance(requirement, Requirement):
            raise RerankerError(f"{method} returned a list with {kind_of(requirement)}; {needs}")
    return requirements


class Stated(Protocol):
    """What says what it needs."""

    def requirements(self) -> Sequence[Requirement]: ...


@dataclass(frozen=True)
class Package(Requirement):
    """A module that must be importable. `extra` is the one of this project that installs it."""

    module: str
    extra: str = ""
    distribution: str = ""
    fix: str = ""

    @property
    def title(self) -> str:
        return self.extra

    @property
    def name(self) -> str:
        return self.distribution or self.module.replace("_", "-")

    def missing(self) -> str:
        return "" if self._is_here() else f"no {self.name}"

    def require(self) -> None:
        if not self._is_here():
            install = f"'rerank-bench[{self.extra}]'" if self.extra else self.name
            raise Unavailable(f"{self.name} not installed", self.fix or f"pip install {install}")

    def _is_here(self) -> bool:
        return find_spec(self.module) is not None


@dataclass(frozen=True)
class Key(Requirement):
    """An environment variable that holds the key of a service."""

    name: str

    @property
    def title(self) -> str:
        return self.name

    @property
    def variable(self) -> str:
        return self.name

    @property
    def value(self) -> str:
        """The key; the line end that a file of one leaves behind it is no part of it."""
        return os.environ.get(self.name, "").rstrip("\r\n")

    def missing(self) -> str:
        return "" if self.value else f"no {self.name}"

    def require(self) -> None:
        value = self.value
        if not value:
            raise Unavailable(f"no {self.name}", f"export {self.name}=...")
        if not (value.isascii() and value.isprintable()):
            raise RerankerError(
                f"the key in {self.name} holds characters no header can have: export it anew"
            )
