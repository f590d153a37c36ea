"""A reranker that is an address: its key, its identity, and what of its answers may be kept or
shown.
"""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, ClassVar

from bench.catalogue import entries
from bench.catalogue.price import Price
from bench.contract.identity import Identity, Service
from bench.contract.requirement import Key, Package, Requirement
from bench.contract.stage import Placement
from bench.core.digest import digest_of
from bench.core.errors import RerankerError
from bench.core.note import Code, Note, note
from bench.core.redaction import HIDDEN, redacted, redacted_text, secret_values
from bench.rerankers.base import BaseReranker
from bench.rerankers.remote.address import (
    Listener,
    host_of,
    user_of,
    whole_address,
    without_user,
)
from bench.rerankers.remote.connection import connect
from bench.rerankers.remote.options import ApiOptions
from bench.rerankers.remote.served import NotTold, Report, served

PROBE_S = 10.0
CHANGED = (
    "the server changed what it serves while it was asked: its scores are those of two "
    "models; run again"
)


class RemoteReranker(BaseReranker):
    """What `ApiReranker` knows of the other side. A server is identified by its whole address and
    by what it says that it serves; a service at its own address by its host and model, since others
    cannot be there.
    """

    placement: Placement = "remote"
    service: ClassVar[str]
    package: ClassVar[str]
    key_variable: str | None = None
    """The environment variable that holds the key of its service."""
    address: ClassVar[str | None] = None
    address_variable: ClassVar[str | None] = None
    options: ApiOptions

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._served: Report | None = None
        self._doubt: Note | None = None

    @property
    def model_name(self) -> str | None:
        return self.options.model

    def requirements(self) -> Sequence[Requirement]:
        requirements: list[Requirement] = [Package(self.package, "api")]
        if self.key_variable:
            requirements.append(Key(self.key_variable))
        base_url = self._base_url()
        if base_url:
            requirements.append(Listener(base_url))
        return requirements

    @property
    def path(self) -> str | None:
        """The path of the address, where it is the suite that names one."""
        return None

    def identity(self) -> Identity | None:
        """Return None where a server does not answer, or not say: what it serves is not known, and
        neither are its scores.
        """
        if not self._knows_what_is_served() or self._doubt:
            return None
        return self._identity()

    def fingerprint(self) -> dict[str, Any]:
        fields = super().fingerprint()
        if not fields:
            return {}
        return {**fields, **self._hidden()}

    def _hidden(self) -> dict[str, str]:
        """Return a digest of `body` where parts of it are hidden: they may decide scores too."""
        body = self.options.body
        if redacted(body) == body:
            return {}
        return {"body_digest": digest_of(body)[:16]}

    def price(self) -> Price | None:
        """Return what the service charges: the suite's price, else the catalogue's for this model
        at this address.
        """
        if self.options.price is not None:
            return self.options.price
        base_url = self._base_url()
        if base_url == self.address:
            base_url = None
        return entries.price(self.service, self.options.model, base_url)

    def _public(self, text: str, longest: int = 200) -> str:
        """Return what a server wrote as one line that may be kept and shown: without secrets, and
        without characters that act on a terminal.
        """
        spaced = re.sub(r"\s", " ", text)
        visible = "".join(letter for letter in spaced if unicodedata.category(letter)[0] != "C")
        for secret in self._secrets():
            visible = visible.replace(secret, HIDDEN)
        return redacted_text(" ".join(visible.split()))[:longest]

    def _secrets(self) -> list[str]:
        """Return what the server was sent and nobody else may see, the longest first."""
        secrets = {self._key(), *secret_values(self.options.body)}
        user = user_of(self._base_url() or "")
        if user:
            secrets |= {user[1], base64.b64encode(":".join(user).encode()).decode()}
        return sorted(filter(None, secrets), key=len, reverse=True)

    def _key(self) -> str:
        """Return the key; empty where the service takes none."""
        if not self.key_variable:
            return ""
        return Key(self.key_variable).value

    def _base_url(self) -> str | None:
        """Return the address to give to the SDK; None for its usual one."""
        if self.options.base_url or not self.address_variable:
            return self.options.base_url
        return os.environ.get(self.address_variable)

    @property
    def host(self) -> str | None:
        """The machine that does the work."""
        return host_of(self._base_url() or self.address or "")

    def _identity(self) -> Identity:
        """Return what was asked of which service: nothing of it is read back."""
        fields = {}
        if self.options.body:
            fields["body"] = redacted(self.options.body)
        return Identity.of(self.service, self.options, self._source(), unread=fields).complete()

    def _source(self) -> Service:
        """Return the service; of a server that is not the vendor's own, with its whole address and
        what it says that it serves.
        """
        service = Service(self.options.model, self.host, self.path)
        if not self._asks_what_is_served:
            return service
        reports: dict[str, str | int | float | None] = {}
        for name, value in (self._served or {}).items():
            reports[name] = value
            if isinstance(value, str):
                reports[name] = self._public(value)
        if not reports:
            reports["served_model_id"] = None
        return replace(service, address=whole_address(self._base_url() or ""), served=reports)

    @property
    def _asks_what_is_served(self) -> bool:
        """Whether the address may serve anything: all but those of the services themselves."""
        base_url = self._base_url()
        return (
            base_url is not None
            and base_url.rstrip("/") != self.address
            and not entries.is_listed(self.service, base_url)
        )

    def _knows_what_is_served(self) -> bool:
        """Ask the server, once. False where it does not answer; a service at its own address is not
        asked.
        """
        if self._asks_what_is_served and self._served is None and find_spec("httpx"):
            try:
                self._served = self._ask_what_is_served()
            except NotTold as refusal:
                self._served = {}
                self._doubt = note(Code.SERVER_UNKNOWN, text=str(refusal))
        return self._served is not None or not self._asks_what_is_served

    def _ask_what_is_served(self) -> Report | None:
        connection = self._connection(min(PROBE_S, self.options.timeout_s))
        try:
            return served(connection, self._base_url() or "", self.options.model)
        finally:
            connection.close()

    def doubt(self) -> Note | None:
        """Ask once more. Raises RerankerError where something else is served by now."""
        if not self._served or self._doubt:
            return self._doubt
        try:
            now = self._ask_what_is_served()
        except NotTold as refusal:
            return note(Code.SERVER_UNKNOWN, text=str(refusal))
        if now is None:
            return note(Code.SERVER_UNKNOWN, text="no answer")
        if now != self._served:
            raise RerankerError(f"{self.service}: {CHANGED}")
        return None

    def _connection(self, timeout_s: float | None = None) -> Any:
        """Return an HTTP client that sends the key, or the user and password of the address."""
        key, options = self._key(), self.options
        headers = {}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        user = user_of(self._base_url() or "")
        try:
            return connect(
                timeout_s or options.timeout_s, options.concurrency, headers, user, options.body
            )
        except RerankerError as error:
            raise RerankerError(f"{self.service}: {self._public(str(error))}") from None

    def _url(self) -> str:
        """Return the address for an SDK, without user and password: those go into a header."""
        return without_user(self._base_url() or self.address or "")
