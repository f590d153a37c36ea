"""Weights, tokenizers and networks: from the hub, a folder, a package or made up, and what would be
wrong with them.
"""
