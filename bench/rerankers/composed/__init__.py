"""Rerankers that are made of others, and the cut: what lies between the stages of a cascade."""
