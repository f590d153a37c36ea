"""Rerankers behind an address."""
