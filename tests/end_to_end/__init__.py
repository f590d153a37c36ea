"""Tests of the whole command: processes, kills, a browser, notebooks, the shipped models."""
