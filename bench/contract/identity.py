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

from bench.core.digest import short_digest
from bench.core.options import Values, at_default, deciding, decision
from bench.machine import fingerprint

Fields = Mapping[str, Any]
"""Plain data by name, as JSON holds it."""
Rest = dict[str, Any]
"""Fields of a record that nothing has read yet."""

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

    def fields(self) -> Fields:
        """Return the fields that are known."""
        fields = {"model": self.model, "revision": self.revision}
        if self.adapter is not None:
            fields["adapter"] = self.adapter
        return fields


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
        if self.address:
            return urlsplit(self.address).netloc
        return self.host

    def fields(self) -> Fields:
        """Return the fields that are known; the host always."""
        fields = {"model": self.model, "host": self.host}
        if self.path is not None:
            fields["path"] = self.path
        if self.address is not None:
            fields["address"] = self.address
        return {**fields, **self.served}


@dataclass(frozen=True)
class Arithmetic:
    """How a model runs, and not which it is."""

    formats: tuple[str, ...] = ()
    """The number formats of its weights or products, as they loaded."""
    runtime: str | None = None
    attention: str | None = None
    """The attention kernel, where the suite names one."""
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

    def fields(self) -> Fields:
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
    as the suite has it where that is not the default. `unread` is known before loading alone and
    part of the fingerprint: the defaults that a model may put something else in place of.
    """

    backend: str | None
    source: Checkpoint | Service | None = None
    arithmetic: Arithmetic = Arithmetic()
    settings: Fields = field(default_factory=dict)
    libraries: Fields = field(default_factory=dict)
    unread: Fields = field(default_factory=dict, compare=False)

    def own_fields(self) -> Fields:
        """Return the flat fields that a description holds next to the backend."""
        rest = {**self.arithmetic.fields(), **_merged(self.settings, self.libraries)}
        if self.source is None:
            return rest
        return {**self.source.fields(), **rest}

    def fields(self) -> Fields:
        """Return the flat fields of a record: what the system key is a hash of."""
        return {"backend": self.backend, **self.own_fields()}

    def fingerprint(self) -> Fields:
        """Return what decides the scores, known without loading: the key of the score cache."""
        return {**self.unread, **self.fields()}

    @property
    def digest(self) -> str:
        """What the system key of a record has as its hash."""
        return short_digest(self.fields())

    def without_libraries(self) -> Identity:
        """Return the same, whatever the versions of libraries, those of parts included."""
        return replace(self, settings=_unversioned(self.settings), libraries={})

    def loaded(
        self,
        formats: Sequence[str],
        read_back: Fields,
        *,
        group: int | None = None,
        libraries: Fields | None = None,
    ) -> Identity:
        """Return the identity of what loaded. What is read back from it takes the place of what the
        suite says: number formats, settings, and libraries where the model names its own.
        """
        return replace(
            self,
            arithmetic=replace(self.arithmetic, formats=tuple(formats), group=group),
            settings={**self.settings, **read_back},
            libraries=self.libraries if libraries is None else libraries,
            unread={},
        )

    @classmethod
    def of(
        cls,
        backend: str,
        options: BaseModel,
        source: Checkpoint | Service | None = None,
        libraries: Fields | None = None,
        unread: Fields | None = None,
    ) -> Identity:
        """Return the identity of a stage before it loads, gathered from the options that say that
        they decide scores. `unread` are further fields of the fingerprint, or stand in for options
        by what these lead to.
        """
        stand_ins = unread or {}
        defaults = at_default(options)
        arithmetic = deciding(options, "scores", "arithmetic")
        settings: Values = {}
        usual: Values = {}
        for name, value in deciding(options, "scores").items():
            if name in defaults:
                usual[name] = value
            else:
                settings[name] = stand_ins.get(name, value)
        usual |= {name: value for name, value in arithmetic.items() if value is None}
        # keys from before an option existed stay as they are
        for name in list(usual):
            if decision(type(options), name).added:
                del usual[name]
        return cls(
            backend,
            source,
            _arithmetic(arithmetic),
            settings,
            libraries or {},
            {**usual, **stand_ins},
        )

    def complete(self) -> Identity:
        """Return the identity of a stage of which nothing is read back: what the suite says,
        defaults included, is all that is known.
        """
        return replace(self, settings={**self.unread, **self.settings}, unread={})

    @classmethod
    def read(cls, fields: Fields, facts: Fields | None = None) -> Identity:
        """Return the identity that a record holds as flat fields. `facts` are of its description:
        records of earlier versions have some of the identity there.
        """
        rest = dict(fields)
        backend = rest.pop("backend", None)
        if backend is not None:
            backend = str(backend)
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
    if not dtype:
        return Arithmetic(**rest)
    return Arithmetic(formats=(dtype,), **rest)


def _read_arithmetic(rest: Rest) -> Arithmetic:
    """Take the arithmetic out of flat fields. What is of another type is a setting like others."""
    kinds = {"dtype": str, "runtime": str, "attention": str, "compile": bool, "group": int}
    values: Rest = {}
    for name, kind in kinds.items():
        if rest.get(name) and isinstance(rest[name], kind):
            values[name] = rest.pop(name)
    dtype = values.pop("dtype", "")
    if not dtype:
        return Arithmetic(**values)
    return Arithmetic(formats=tuple(dtype.split("+")), **values)


def _source(rest: Rest) -> Checkpoint | Service | None:
    """Take the weights or the service out of flat fields; None where they name neither."""
    model = rest.get("model")
    revision = rest.get("revision")
    host = rest.get("host")
    if not isinstance(model, str):
        return None
    if isinstance(revision, str):
        del rest["model"], rest["revision"]
        return Checkpoint(model, revision, _pop_text(rest, "adapter"))
    if "host" in rest and (host is None or isinstance(host, str)):
        del rest["model"], rest["host"]
        served = {name: rest.pop(name) for name in list(rest) if name.startswith(SERVED)}
        return Service(model, host, _pop_text(rest, "path"), _pop_text(rest, "address"), served)
    return None


def _pop_text(rest: Rest, name: str) -> str | None:
    """Take a text out of flat fields; None where the field is missing or of another type."""
    if not isinstance(rest.get(name), str):
        return None
    text: str = rest.pop(name)
    return text


def _parted(fields: Fields, outer: tuple[str, ...] = ()) -> tuple[Fields, Fields]:
    """Return (settings, libraries), both nested as the fields are."""
    settings: Values = {}
    libraries: Values = {}
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


def _unversioned(fields: Fields) -> Fields:
    """Return fields without the versions of libraries in lists, such as those of parts."""
    rest: Values = {}
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            value = [_unversioned_part(part) for part in value]
        rest[name] = value
    return rest


def _unversioned_part(part: object) -> object:
    if not isinstance(part, Mapping):
        return part
    settings, _ = _parted(part)
    return _unversioned(settings)


def _merged(fields: Fields, others: Fields) -> Fields:
    """Return both, those with the same name merged into one another."""
    union = dict(fields)
    for name, value in others.items():
        mine = union.get(name)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            union[name] = _merged(mine, value)
        else:
            union[name] = value
    return union
