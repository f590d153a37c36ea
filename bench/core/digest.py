"""What decides something, as a digest: equal data give equal digests, whatever the order of their
names.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_of(data: Any) -> str:
    """Return the SHA-256 of data, in hex digits. What JSON does not know counts by its text, arrays
    and tensors by all of their values: their text leaves out the middle of a large one.
    """
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> str:
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return str(value)
