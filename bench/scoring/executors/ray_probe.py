"""Connects to a cluster of Ray, and leaves it: `python -P -m bench.scoring.executors.ray_probe
ADDRESS`. Not for people to call.

A process of its own, since Ray ends the one that asks where its own service on this machine is not
there, and waits for minutes where nobody answers.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any


def main(address: str) -> None:
    ray: Any = importlib.import_module("ray")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises many kinds, a bare Exception among them
        sys.exit(str(error).strip().partition("\n")[0])
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
