"""Names of files: made from what people call things, and checked where they come from somebody
else's folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MAX_BYTES = 160
"""Of a stem: file systems take names of 255 bytes, and endings and parts are added to it."""
DIGEST = 10
_OTHER_LETTERS = re.compile(r"[^\w.-]")


def file_stem(text: str, other: str = "-") -> str:
    """Return `text` as a file's name without ending: letters, digits, '.', '_' and '-' stay,
    anything else becomes `other`.

    What is longer than MAX_BYTES in UTF-8 is cut, and ends in a digest of the whole, so that two
    long names stay apart.
    """
    stem = _OTHER_LETTERS.sub(lambda match: other, text)
    data = stem.encode()
    if len(data) <= MAX_BYTES:
        return stem
    digest = hashlib.sha256(data).hexdigest()[:DIGEST]
    return f"{data[: MAX_BYTES - DIGEST - 1].decode(errors='ignore')}-{digest}"


def clash(names: Sequence[str]) -> tuple[int, int] | None:
    """Return the places of the first two names that have one stem, or None: what is written for one
    would be written over for the other.
    """
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        earlier = places.setdefault(file_stem(name), place)
        if earlier != place:
            return earlier, place
    return None


def is_file_name(text: str) -> bool:
    """Return whether `text` names a file right inside a folder, on every system: no folder, no
    drive, nothing hidden.
    """
    return (
        bool(text)
        and not text.startswith(".")
        and text.isprintable()
        and not set(text) & set("/\\:")
    )
