"""Pipelines composed from the scores that a run has stored: their quality, a forecast of their
latency, their cost. No model is loaded.
"""
