"""The file of one scored chunk: an uncompressed .npz whose arrays carry the checksums of its zip
archive.

Every array is read to its end, where the archive compares its CRC-32, so that a flipped bit is
either found or lies where it changes nothing. Reading takes no more than parsing the archive once:
a cache of thousands of small files opens in seconds.
"""

from __future__ import annotations

import errno
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bench.contract.request import is_amount
from bench.contract.scored import Amounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.scoring.pairs import Keys

_END_LENGTH = 22
"""Bytes of the last record of a zip archive without a comment."""
_VERSION_1 = b"\x93NUMPY\x01\x00"


class DamagedFile(ValueError):
    """The bytes are not a chunk that was written here."""


@dataclass(frozen=True)
class Chunk:
    """The scores of some requests by their keys, and what they cost.

    `share` is each request's part of what is known of the chunk alone; `own` what a request cost by
    itself, by key. `impossible` counts amounts that were left out because they cannot be true.
    """

    scores: dict[str, NDArray[np.float64]]
    share: Amounts
    own: dict[str, Amounts]
    impossible: int = 0
    written: int = 0
    """Which of two chunks is the newer: nanoseconds since 1970, later in each chunk of a process; 0
    in files of earlier versions.
    """
    pairs: dict[str, Keys] = field(default_factory=dict)
    """The keys of the pairs of those requests whose scores count by pair. Files of earlier versions
    have none.
    """


def encode(chunk: Chunk) -> bytes:
    """Return the bytes of a chunk's file."""
    import numpy as np

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        "keys": np.array(list(chunk.scores)),
        "bounds": np.cumsum([len(values) for values in chunk.scores.values()]),
        "scores": np.concatenate(list(chunk.scores.values())).astype(np.float64),
        "usage": np.array(json.dumps(chunk.share)),
        "own_usage": np.array(json.dumps(chunk.own)),
        "written": np.array(chunk.written, dtype=np.int64),
    }
    if chunk.pairs:
        arrays["pairs"] = _keys_of_all(chunk)
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def encode_pairs(pairs: Mapping[str, Keys]) -> bytes:
    """Return the bytes of a file that says which pairs the requests with these keys are of."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(
        buffer,
        keys=np.array(list(pairs)),
        bounds=np.cumsum([len(keys) for keys in pairs.values()]),
        pairs=np.concatenate(list(pairs.values())),
    )
    return buffer.getvalue()


def decode_pairs(data: bytes) -> dict[str, Keys]:
    """Return what `encode_pairs` was given. Raises DamagedFile for anything that it did not
    write, and OSError where nothing can be read here.
    """
    _check_reading()
    try:
        arrays = _arrays(data)
        return _slices(arrays, _keys_of_pairs(arrays))
    except (ImportError, MemoryError, OSError):
        raise
    except Exception as error:
        raise DamagedFile(str(error)) from error


def decode(data: bytes) -> Chunk:
    """Return the chunk in a file's bytes. Files from before costs were kept by request have no
    `own`.

    Raises DamagedFile for anything that `encode` did not write, and OSError where nothing can be
    read here.
    """
    _check_reading()
    try:
        arrays = _arrays(data)
        scores = _scores(arrays)
        pairs: dict[str, Keys] = {}
        if "pairs" in arrays:
            keys_of_pairs = _keys_of_pairs(arrays)
            pairs = _slices(arrays, keys_of_pairs)
            if not keys_of_pairs.any(axis=1).all():
                pairs = {key: keys for key, keys in pairs.items() if keys.any()}
        share, dropped = _possible(json.loads(str(arrays["usage"])))
        written = int(arrays.get("written", 0))
        own: dict[str, Amounts] = {}
        for key, amounts in json.loads(str(arrays.get("own_usage", "{}"))).items():
            own[key], more = _possible(amounts)
            dropped += more
    except (ImportError, MemoryError, OSError):  # the machine's, not the file's
        raise
    except Exception as error:  # zipfile, numpy and json raise a dozen kinds over damaged bytes
        raise DamagedFile(str(error)) from error
    return Chunk(scores, share, own, dropped, written, pairs)


@lru_cache(maxsize=1)
def _check_reading() -> None:
    """Read a file that is known to be good, once in a process. Raises OSError where that fails.

    What reads an archive is loaded when it is first needed, and a process without descriptors, or
    without the right to read its own Python, fails then as it does over damaged bytes.
    """
    import numpy as np

    try:
        sample = encode(Chunk({"sample": np.zeros(1)}, {}, {}))
        _scores(_arrays(sample))
    except Exception as error:
        raise OSError(errno.EIO, f"nothing can be read here: {error}") from None


def _scores(arrays: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    import numpy as np

    scores = arrays["scores"].copy()
    if not np.isfinite(scores).all():
        raise ValueError("scores are not finite")
    return _slices(arrays, scores)


def _slices(arrays: Mapping[str, Any], rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the rows of each key."""
    keys = arrays["keys"].tolist()
    bounds = arrays["bounds"].tolist()
    starts = [0, *bounds[:-1]]
    is_whole = len(keys) == len(bounds) and bounds[-1] == len(rows)
    if not is_whole or any(start > end for start, end in zip(starts, bounds, strict=True)):
        raise ValueError("keys, bounds and rows do not fit")
    return {key: rows[start:end] for key, start, end in zip(keys, starts, bounds, strict=True)}


def _keys_of_all(chunk: Chunk) -> Keys:
    """Return the keys of all pairs, zeros in the place of those that do not count by pair."""
    import numpy as np

    rows: list[Keys] = []
    for key, values in chunk.scores.items():
        rows.append(chunk.pairs.get(key, np.zeros((len(values), 2), dtype=np.uint64)))
    return np.concatenate(rows)


def _keys_of_pairs(arrays: Mapping[str, Any]) -> Keys:
    import numpy as np

    keys: Keys = arrays["pairs"]
    if keys.dtype != np.uint64 or keys.ndim != 2 or keys.shape[1] != 2:
        raise ValueError("pairs are no keys of 16 bytes")
    return keys.copy()


def _possible(amounts: Mapping[str, Any]) -> tuple[Amounts, int]:
    """Return the amounts that can be true, and how many cannot: a service may have reported 1e30
    tokens.
    """
    possible = {
        name: value for name, value in amounts.items() if is_amount(value) or _is_rounded(value)
    }
    return possible, len(amounts) - len(possible)


def _is_rounded(value: object) -> bool:
    """Return whether an amount is 0 but for rounding: what requests cost was subtracted from what
    their chunk did.
    """
    return isinstance(value, float) and -1e-6 < value < 0


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        # zipfile does not compare its count: a flipped length can swallow an entry
        end = data[-_END_LENGTH:]
        if not end.startswith(b"PK\5\6") or int.from_bytes(end[10:12], "little") != len(names):
            raise ValueError("entries are missing")
        return {name: _array(archive.read(f"{name}.npy")) for name in names}


def _array(data: bytes) -> NDArray[Any]:
    """Return an array in numpy's file format, version 1.0, which numpy writes for plain types."""
    import numpy as np

    if data[: len(_VERSION_1)] != _VERSION_1:
        raise ValueError("not an array")
    # two bytes after the version hold the length of the header
    start = len(_VERSION_1) + 2
    start += int.from_bytes(data[start - 2 : start], "little")
    shape, dtype = _header(data[len(_VERSION_1) : start])
    return np.frombuffer(data, dtype=dtype, offset=start).reshape(shape)


@lru_cache(maxsize=1024)
def _header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    import numpy as np

    shape, _, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(data))
    if dtype.hasobject:
        raise ValueError("an array of objects")
    return shape, dtype
