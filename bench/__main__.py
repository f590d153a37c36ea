"""`python -m bench` is `rerank-bench`."""

from bench.cli import main

main()
