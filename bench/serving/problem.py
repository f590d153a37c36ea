"""What a client gets instead of an answer."""

from __future__ import annotations


class Problem(Exception):
    """An HTTP status and one line for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ClientGone(Exception):
    """The client has closed the connection: nobody would read an answer."""
