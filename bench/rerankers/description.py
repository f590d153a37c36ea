"""What decides a reranker's scores, and what it says that it has loaded: as plain data, without
secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contract.identity import Fields
from bench.contract.stage import Description, Reranker
from bench.core.errors import RerankerError
from bench.core.json_file import in_json
from bench.core.options import at_default, deciding
from bench.core.outsiders import kind_of, outsiders_code
from bench.core.plugins import is_ours, name_of
from bench.core.redaction import redacted
from bench.rerankers.options import declared, shared


def identified(reranker: Reranker) -> Fields:
    """Return what decides a reranker's scores. An outsider's class says so without its name, which
    two of them may do alike, and may leave out an option; empty where nothing is worth caching.
    """
    fingerprint = reranker.fingerprint()
    kind = reranker.origin
    if not fingerprint or is_ours(kind):
        return fingerprint
    return {"class": name_of(kind), **_options(reranker, defaults=True), **fingerprint}


def described(reranker: Reranker) -> Fields:
    """Return what a loaded reranker says it is, as plain data without secrets: an outsider's may
    name a path, a number of numpy, a dtype, and the key that it reads.
    """
    description = _checked(reranker).to_dict()
    if not is_ours(reranker.origin):
        options = _options(reranker, defaults=False)
        description["identity"] = {**options, **description["identity"]}
    return _plain(description)


def plain(description: Description) -> Fields:
    """Return a description as plain data without secrets."""
    return _plain(description.to_dict())


def _plain(description: Any) -> Fields:
    # a record holds no infinity: as text it has the same key there and here
    fields: Fields = redacted(in_json(description))
    return fields


def _checked(reranker: Reranker) -> Description:
    """Return a description. Raises RerankerError where an outsider's code returns another thing."""
    method = f"describe() of {name_of(reranker.origin)}"
    needs = "it returns a Description(backend, identity, facts)"
    with outsiders_code(method):
        value: Any = reranker.describe()
    if not isinstance(value, Description):
        raise RerankerError(f"{method} returned {kind_of(value)}; {needs}")
    if not isinstance(value.backend, str):
        raise RerankerError(f"{method}: its backend is {kind_of(value.backend)}, and not text")
    for name, part in (("identity", value.identity), ("facts", value.facts)):
        if not isinstance(part, Mapping):
            raise RerankerError(f"{method}: its {name} is {kind_of(part)}, and not a mapping")
    return value


def _options(reranker: Reranker, *, defaults: bool) -> Fields:
    """Return the options of an outsider's class that decide scores, those at their default too
    where `defaults` says so: what it says of itself may leave one out. A path of this machine is
    not among them.
    """
    options = declared(reranker.options)
    values = deciding(options, "scores") | deciding(options, "scores", "arithmetic")
    left_out = set(shared(reranker.options).paths)
    if not defaults:
        left_out |= at_default(options)
    return {name: value for name, value in values.items() if name not in left_out}
