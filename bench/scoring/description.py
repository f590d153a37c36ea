"""What decides a reranker's scores, and what it says that it has loaded: as plain data, without
secrets.
"""

from __future__ import annotations

import json

from bench.contract.identity import Fields
from bench.contract.stage import Reranker
from bench.core.options import at_default, deciding
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
    description = reranker.describe().to_dict()
    if not is_ours(reranker.origin):
        options = _options(reranker, defaults=False)
        description["identity"] = {**options, **description["identity"]}
    plain: Fields = redacted(json.loads(json.dumps(description, default=str)))
    return plain


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
