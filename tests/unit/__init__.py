"""Tests of one room each, in process and in milliseconds."""
