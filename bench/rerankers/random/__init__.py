"""Architectures without their weights: timed, never scored."""
