"""Rows that compute nothing or little: the first stage's order, the oracle, published runs, word
overlap.
"""
