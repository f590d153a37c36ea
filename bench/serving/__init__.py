"""A reranker of ours behind a local HTTP server, so that a server's scores can be held against
in-process ones.
"""
