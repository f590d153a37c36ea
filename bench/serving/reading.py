"""Reading from a connection in bounded time: a client that sends a byte a minute holds its own
thread, and that not for ever.
"""

from __future__ import annotations

import io
import socket
import time

BLOCK = 65_536


class TimedReader(io.RawIOBase):
    """What a connection sends. Waits at most `idle_s` for more of it, and not beyond
    `expect_within(seconds)`. Raises TimeoutError.
    """

    def __init__(self, connection: socket.socket, idle_s: float) -> None:
        self._connection = connection
        self._idle_s = idle_s
        self._deadline: float | None = None

    def expect_within(self, seconds: float | None) -> None:
        """Let what is read from now on take at most this long, all together; None for no such
        limit.
        """
        self._deadline = None
        if seconds is not None:
            self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        seconds = self._idle_s
        if self._deadline is not None:
            seconds = min(seconds, self._deadline - time.monotonic())
        if seconds <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        return self._connection.recv_into(buffer)


def is_closed(connection: socket.socket) -> bool:
    """Return whether the other side has closed the connection. Leaves what it has sent unread, and
    the connection without a time limit of its own.
    """
    connection.settimeout(0)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def linger(connection: socket.socket, seconds: float) -> None:
    """Say that nothing more is sent, and read on for a while: a client that is still sending would
    get a reset and no answer.
    """
    deadline = time.monotonic() + seconds
    try:
        connection.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(BLOCK):
                return
    except OSError:
        return
