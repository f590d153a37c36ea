"""Which Host and Origin headers are answered: a web page that points its own name at this machine
(DNS rebinding) is not, nor is one of another machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from bench.serving.problem import Problem

ANY = "*"


class AllowedHosts:
    """`localhost`, the address listened at, and `names`; `*` among these allows all.

    As a Host every address written as a number is allowed too: no name leads there. As an Origin
    those of this machine alone are: anybody's page may come from a number.
    """

    def __init__(self, address: str, names: Sequence[str] = ()) -> None:
        self._names = {"localhost", address.casefold(), *(name.casefold() for name in names)}

    def check(self, hosts: Sequence[str], origins: Sequence[str], own: str) -> None:
        """Raise Problem for a request that another site's page sends, as its Host or Origin header
        says, and for one that has a header twice. `own` is the address that the request came to.
        """
        for header, values in (("Host", hosts), ("Origin", origins)):
            if len(values) > 1:
                raise Problem(400, f"one {header} header is needed, not {len(values)}")
        if ANY in self._names:
            return
        host = _name(f"//{''.join(hosts)}")
        if host not in self._names and _address(host) is None:
            fix = "start the server with --allow-host NAME if that is one of its names"
            raise Problem(403, f"Host {''.join(hosts) or '(none)'} is not answered; {fix}")
        if origins and not self._is_of_this_machine(_name(origins[0]), own):
            raise Problem(
                403,
                f"Origin {origins[0]} is not answered: requests of web pages are, where "
                "--allow-host names their site",
            )

    def _is_of_this_machine(self, name: str, own: str) -> bool:
        address = _address(name)
        if name in self._names or address is None:
            return name in self._names
        return address.is_loopback or address == _address(own)


def _name(url: str) -> str:
    """Return the host of a URL; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _address(name: str) -> IPv4Address | IPv6Address | None:
    """Return the address that is written as a number; None for a name. One of IPv4 in the clothes
    of IPv6 is of IPv4.
    """
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    mapped = None
    if address.version == 6:
        mapped = address.ipv4_mapped
    return mapped or address
