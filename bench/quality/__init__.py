"""Measures, statistics, and what becomes of a trial's rankings."""
