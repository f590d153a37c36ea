"""Which Host headers are answered: a web page that points its own name at this machine (DNS
rebinding) is not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from bench.serving.problem import Problem

ANY = "*"


class AllowedHosts:
    """`localhost`, every address written as a number, the address listened at, and `names`; `*`
    among these allows all.
    """

    def __init__(self, address: str, names: Sequence[str] = ()) -> None:
        self._names = {"localhost", address.casefold(), *(name.casefold() for name in names)}

    def check(self, host: str | None, origin: str | None) -> None:
        """Raises Problem for a request that another site's page sends, as its Host or Origin header
        says.
        """
        if ANY in self._names:
            return
        if not self._allows(f"//{host or ''}"):
            fix = "start the server with --allow-host NAME if that is one of its names"
            raise Problem(403, f"Host {host or '(none)'} is not answered; {fix}")
        if origin is not None and not self._allows(origin):
            raise Problem(
                403,
                f"Origin {origin} is not answered: requests of web pages are, where --allow-host "
                "names their site",
            )

    def _allows(self, address: str) -> bool:
        try:
            name = (urlsplit(address).hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._names or _is_number(name)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
