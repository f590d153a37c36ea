"""Pipelines: a first stage and what comes after it, as one stage."""
