"""Libraries that write models, on a disk that is full or cannot be written to."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.errors import causes

TORCH = re.compile("PytorchStreamWriter|inline_container|iostream error")
"""What torch's errors name where an archive cannot be written: it raises a RuntimeError, and does
not say why.
"""
_CODE = re.compile(r"os error (\d+)")


@contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Turn what safetensors and torch raise where a file cannot be written into an OSError that
    names the folder.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        code = _CODE.search(str(error))
        if code is None:
            raise
        number = int(code[1])
        raise OSError(number, os.strerror(number), str(folder)) from error
    except RuntimeError as error:
        if not any(TORCH.search(str(cause)) for cause in causes(error)):
            raise
        reason = "a file cannot be written: the disk may be full"
        raise OSError(errno.EIO, reason, str(folder)) from error
