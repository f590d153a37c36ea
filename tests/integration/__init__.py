"""Tests of several rooms together, in process: real files, tiny models, local HTTP servers."""
