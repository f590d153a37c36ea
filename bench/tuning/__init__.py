"""Finds the best pipeline inside a budget with few timed calls."""
