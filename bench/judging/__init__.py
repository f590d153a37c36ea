"""Judgments by a chat model, where nobody has made any: what a run ranked is pooled and graded, the
answers are kept, a person checks a sample, and what the disagreement does to the measures is said.
"""
