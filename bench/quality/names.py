"""Names of measures as other tools write them, to the names of ir_measures, which are the only ones
that a suite takes.

trec_eval and pytrec_eval write ndcg_cut_10, recip_rank, P_10; BEIR NDCG@10; MTEB ndcg_at_10; ranx
hit_rate@5, mrr@10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "accuracy": "Success",
    "averageprecision": "AP",
    "bpref": "Bpref",
    "dcg": "nDCG",
    "err": "ERR",
    "hit": "Success",
    "hitrate": "Success",
    "hitratio": "Success",
    "hits": "Success",
    "infap": "infAP",
    "iprec": "IPrec",
    "judged": "Judged",
    "map": "AP",
    "meanaverageprecision": "AP",
    "meanreciprocalrank": "RR",
    "mrr": "RR",
    "ndcg": "nDCG",
    "numrel": "NumRel",
    "numrelret": "NumRelRet",
    "numret": "NumRet",
    "p": "P",
    "prec": "P",
    "precision": "P",
    "r": "R",
    "recall": "R",
    "reciprocalrank": "RR",
    "reciprank": "RR",
    "rprec": "Rprec",
    "rprecision": "Rprec",
    "rr": "RR",
    "setf": "SetF",
    "setp": "SetP",
    "setrecall": "SetR",
    "success": "Success",
}
"""By the name without case, underscores and hyphens, the measure that is meant."""
_WRITTEN = re.compile(r"(?P<stem>[a-z][a-z_\- ]*?)(?:[_. ]?(?:cut|at)?[_.@ ]*(?P<cutoff>[0-9]+))?")
_WITHOUT_CUTOFF = frozenset(
    {"Bpref", "IPrec", "infAP", "NumRel", "NumRelRet", "NumRet", "Rprec", "SetF", "SetP", "SetR"}
)


def meant(name: str) -> str | None:
    """Return the full name of the measure that another tool calls so, its cutoff included; None for
    a name that is not known.
    """
    written = _WRITTEN.fullmatch(name.strip().lower())
    if written is None:
        return None
    measure = NAMES.get(re.sub(r"[_\- ]", "", written["stem"]))
    if measure is None or written["cutoff"] is None or measure in _WITHOUT_CUTOFF:
        return measure
    return f"{measure}@{written['cutoff'].lstrip('0') or '0'}"
