"""Libraries that talk while they load, made quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_CHATTY = ("sentence_transformers", "transformers", "huggingface_hub")


@contextmanager
def quiet(*more: str) -> Iterator[None]:
    """Keep the libraries' progress bars, reports and warnings off the user's terminal; `more` names
    further loggers.
    """
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in (*_CHATTY, *more)]
    levels = [logger.level for logger in loggers]
    had_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars:
            transformers_logging.enable_progress_bar()
