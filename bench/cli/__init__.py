"""The commands of `rerank-bench`, a file per family: arguments in, one clear line out.

Work is imported when a command needs it, so that `--help` is instant.
"""
