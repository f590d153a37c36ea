"""A reranker that waits, as one whose work is done elsewhere would: for executors.py."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.contract.stage import Description
from bench.core.options import option
from bench.rerankers.base import PointwiseReranker
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.contract.request import Scores


class SleepingOptions(RerankerOptions):
    seconds: float = option(0.25, decides="speed")
    folder: str = option(decides="nothing")
    processes: int = option(1, decides="nothing")


class Sleeping(PointwiseReranker):
    """Sleeps per call. The first call waits until as many processes have loaded as there will
    be.
    """

    Options = SleepingOptions

    def load(self) -> None:
        Path(self.options.folder, f"{os.getpid()}.loaded").touch()

    def describe(self) -> Description:
        return Description("sleeping", {})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        while len(list(Path(self.options.folder).glob("*.loaded"))) < self.options.processes:
            time.sleep(0.01)
        time.sleep(self.options.seconds)
        return np.array([float(len(query) + len(document)) for query, document in pairs])
