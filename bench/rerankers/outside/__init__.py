"""Functions and classes that were not written for this project."""
