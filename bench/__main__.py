"""`python -m bench` is `rerank-bench`."""

import sys

if (
    not sys.flags.safe_path
):  # the working folder comes first then, and a json.py in it before Python's own
    del sys.path[0]

from bench.cli.main import main

main()
