"""Rerankers inside other people's frameworks."""
