"""What decides the scores of a stage, as a type: which weights or service, how they are computed,
settings, libraries.

The score cache, the system key, agreement, drift and parity are derived from it. Records hold it as
flat fields (`fields`), and records of earlier versions are read into the same type (`read`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from bench.core.options import at_default, deciding, decision
from bench.machine import fingerprint

Fields = Mapping[str, Any]

LIBRARIES = frozenset(
    {*fingerprint.LIBRARIES, "onnx", "onnxscript", "ir_measures", "PyStemmer", "cuda"}
)
"""Fields that hold the version of a library."""
GROUPS = frozenset({"libraries", "versions"})
"""Fields whose own fields are libraries, whichever they are: how a reranker of an outsider records
its own.
"""
SERVED = "served_"
"""How the fields begin that a server reports of what it serves."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights, wherever they lie: a hub model at a commit, or a folder by a digest of its
    content.
    """

    model: str
    revision: str
    adapter: str | None = None
    """The digest of a PEFT adapter."""

    def fields(self) -> dict[str, Any]:
        adapter = {} if self.adapter is None else {"adapter": self.adapter}
        return {"model": self.model, "revision": self.revision, **adapter}


@dataclass(frozen=True)
class Service:
    """A model behind an address. A server that may serve anything has a whole address, and says
    what it serves; a vendor's own service is known by its host.
    """

    model: str
    host: str | None
    path: str | None = None
    address: str | None = None
    served: Fields = field(default_factory=dict)

    @property
    def authority(self) -> str | None:
        """Return host and port, the host alone where the address is the vendor's own."""
        return urlsplit(self.address).netloc if self.address else self.host

    def fields(self) -> dict[str, Any]:
        places = {"path": self.path, "address": self.address}
        named = {name: value for name, value in places.items() if value is not None}
        return {"model": self.model, "host": self.host, **named, **self.served}


@dataclass(frozen=True)
class Arithmetic:
    """How a model runs, and not which it is."""

    formats: tuple[str, ...] = ()
    """The number formats of its weights or products, as they loaded."""
    runtime: str | None = None
    attention: str | None = None
    """The attention kernel, where one was asked for."""
    compile: bool | None = None
    group: int | None = None
    """Activations that share a scale in 8 bits."""

    @property
    def dtype(self) -> str:
        """Return the number formats, joined by a plus where there are several."""
        return "+".join(self.formats)

    @property
    def is_plain(self) -> bool:
        """Return whether it is torch's in float32."""
        return self.formats == ("float32",) and self.runtime in (None, "torch")

    @property
    def runtime_name(self) -> str:
        """Return the runtime; a model without a choice of it runs in torch."""
        return self.runtime or "torch"

    def fields(self) -> dict[str, Any]:
        """Return the fields that are known."""
        known = {
            "dtype": self.dtype,
            "runtime": self.runtime,
            "attention": self.attention,
            "compile": self.compile,
            "group": self.group,
        }
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True)
class Identity:
    """What decides the scores of a stage.

    `settings` are the options that decide scores, each as it loaded where the model says so, else
    as it was asked for where that is not the default. `asked` is known before loading alone and
    part of the fingerprint: the defaults that a model may put something else in place of.
    """

    backend: str | None
    source: Checkpoint | Service | None = None
    arithmetic: Arithmetic = Arithmetic()
    settings: Fields = field(default_factory=dict)
    libraries: Fields = field(default_factory=dict)
    asked: Fields = field(default_factory=dict, compare=False)

    def own_fields(self) -> dict[str, Any]:
        """Return the flat fields that a description holds next to the backend."""
        source = {} if self.source is None else self.source.fields()
        return {**source, **self.arithmetic.fields(), **_merged(self.settings, self.libraries)}

    def fields(self) -> dict[str, Any]:
        """Return the flat fields of a record: what the system key is a hash of."""
        return {"backend": self.backend, **self.own_fields()}

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the scores, known without loading: the key of the score cache."""
        return {**self.asked, **self.fields()}

    def loaded(
        self,
        formats: Sequence[str],
        read_back: Fields,
        *,
        group: int | None = None,
        libraries: Fields | None = None,
    ) -> Identity:
        """Return the identity of what loaded. What is read back from it takes the place of what was
        asked for: number formats, settings, and libraries where they are given.
        """
        return replace(
            self,
            arithmetic=replace(self.arithmetic, formats=tuple(formats), group=group),
            settings={**self.settings, **read_back},
            libraries=self.libraries if libraries is None else libraries,
            asked={},
        )

    @classmethod
    def of(
        cls,
        backend: str,
        options: BaseModel,
        source: Checkpoint | Service | None = None,
        libraries: Fields | None = None,
        asked: Fields | None = None,
    ) -> Identity:
        """Return the identity of a stage before it loads, gathered from the options that say that
        they decide scores. `asked` are further fields of the fingerprint, or stand in for options
        by what these lead to.
        """
        defaults = at_default(options)
        values = deciding(options, "scores")
        arithmetic = deciding(options, "scores", "arithmetic")
        settings = {name: value for name, value in values.items() if name not in defaults}
        usual = {name: value for name, value in values.items() if name in defaults}
        usual |= {name: value for name, value in arithmetic.items() if value is None}
        model = type(options)
        kept = {name: value for name, value in usual.items() if not decision(model, name).added}
        stand_ins = asked or {}
        settings = {name: stand_ins.get(name, value) for name, value in settings.items()}
        return cls(
            backend,
            source,
            _arithmetic(arithmetic),
            settings,
            libraries or {},
            {**kept, **stand_ins},
        )

    def complete(self) -> Identity:
        """Return the identity of a stage of which nothing is read back: what was asked for,
        defaults included, is all that is known.
        """
        return replace(self, settings={**self.asked, **self.settings}, asked={})

    @classmethod
    def read(cls, fields: Fields, facts: Fields | None = None) -> Identity:
        """Return the identity that a record holds as flat fields. `facts` are of its description:
        records of earlier versions have some of the identity there.
        """
        rest = dict(fields)
        backend = _text(rest.pop("backend", None))
        source = _source(rest)
        arithmetic = _read_arithmetic(rest)
        known = facts or {}
        if known.get("compiled") is True:
            arithmetic = replace(arithmetic, compile=True)
        if known.get("trust_remote_code") is True:
            rest.setdefault("trust_remote_code", True)
        settings, libraries = _parted(rest)
        return cls(backend, source, arithmetic, settings, libraries)


def is_library(name: str) -> bool:
    """Return whether a field of a key, nested ones as `outer.inner`, holds a library's version. Its
    name says so, and never its value: an address or a model may look like a version.
    """
    return _is_library(name.split("."))


def _is_library(steps: Sequence[str]) -> bool:
    return steps[-1] in LIBRARIES or not GROUPS.isdisjoint(steps[:-1])


def _arithmetic(values: Fields) -> Arithmetic:
    """Return the arithmetic that options ask for."""
    rest = dict(values)
    dtype = rest.pop("dtype", None)
    return Arithmetic(formats=(dtype,) if dtype else (), **rest)


def _read_arithmetic(rest: dict[str, Any]) -> Arithmetic:
    """Take the arithmetic out of flat fields. What is of another type is a setting like others."""
    kinds = {"dtype": str, "runtime": str, "attention": str, "compile": bool, "group": int}
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        if rest.get(name) and isinstance(rest[name], kind):
            values[name] = rest.pop(name)
    dtype = values.pop("dtype", "")
    return Arithmetic(formats=tuple(dtype.split("+")) if dtype else (), **values)


def _source(rest: dict[str, Any]) -> Checkpoint | Service | None:
    """Take the weights or the service out of flat fields; None where they name neither."""
    model, revision, host = rest.get("model"), rest.get("revision"), rest.get("host")
    if not isinstance(model, str):
        return None
    if isinstance(revision, str):
        del rest["model"], rest["revision"]
        return Checkpoint(model, revision, _taken(rest, "adapter"))
    if "host" in rest and (host is None or isinstance(host, str)):
        del rest["model"], rest["host"]
        served = {name: rest.pop(name) for name in list(rest) if name.startswith(SERVED)}
        return Service(model, host, _taken(rest, "path"), _taken(rest, "address"), served)
    return None


def _taken(rest: dict[str, Any], name: str) -> str | None:
    return rest.pop(name) if isinstance(rest.get(name), str) else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _parted(fields: Fields, outer: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (settings, libraries), both nested as the fields are."""
    settings: dict[str, Any] = {}
    libraries: dict[str, Any] = {}
    for name, value in fields.items():
        steps = (*outer, name)
        if isinstance(value, Mapping) and value:
            inner_settings, inner_libraries = _parted(value, steps)
            if inner_settings:
                settings[name] = inner_settings
            if inner_libraries:
                libraries[name] = inner_libraries
        elif _is_library(steps):
            libraries[name] = value
        else:
            settings[name] = value
    return settings, libraries


def _merged(fields: Fields, others: Fields) -> dict[str, Any]:
    """Return both, those with the same name merged into one another."""
    merged = dict(fields)
    for name, value in others.items():
        mine = merged.get(name)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(mine, value)
        else:
            merged[name] = value
    return merged
