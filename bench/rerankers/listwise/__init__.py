"""Models that put a whole list in order: on this machine, and behind a chat server."""
