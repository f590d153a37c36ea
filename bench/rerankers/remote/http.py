"""Servers that are spoken to over plain HTTP, without an SDK: where they are, the key they may
want, and their refusals.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

from bench.core.errors import RerankerError, SuiteError
from bench.core.options import option
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.answer import json_of
from bench.rerankers.remote.client import ApiReranker
from bench.rerankers.remote.options import ADDRESS, ApiOptions
from bench.rerankers.remote.refusal import Refusal, reason_in, retry_after

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class HttpOptions(ApiOptions):
    base_url: str = option(
        pattern=ADDRESS,
        decides="scores",
        place="elsewhere",
        description="address of the server, such as https://api.example.com/v1",
    )
    api_key_env: str | None = option(
        None,
        decides="nothing",
        description="environment variable that holds the key, where one is needed",
    )


class HttpReranker(ApiReranker):
    """A client of `base_url`, with connections that are kept. `ask` calls `_post`."""

    Options: ClassVar[type[RerankerOptions]] = HttpOptions
    package = "httpx"
    options: HttpOptions

    def __init__(self, options: HttpOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        if options.api_key_env and not _VARIABLE.fullmatch(options.api_key_env):
            # it may be the key: never shown
            name = f"reranker '{self.service}'"
            raise SuiteError(
                f"{name}: api_key_env is the name of an environment variable, such as "
                "MY_API_KEY, not a key"
            )
        self.key_variable = options.api_key_env

    @property
    def path(self) -> str:
        return urlsplit(self.options.base_url).path.rstrip("/")

    def connect(self, key: str, http: Any) -> Any:
        return http

    def _post(self, path: str, fields: Any) -> Any:
        """Return the response to one request, with status 200. Raises Refusal for any other,
        RerankerError where base_url is no address.
        """
        import httpx

        try:
            response = self._client.post(self._url() + path, json=fields)
        except httpx.TimeoutException:
            raise Refusal(f"no answer within {self.options.timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise Refusal.unconnected(error) from None
        except httpx.InvalidURL:
            raise RerankerError(f"{self.service}: base_url is not an address") from None
        if response.status_code != 200:
            raise Refusal(
                reason_in(json_of(response) or response.content),
                response.status_code,
                retry_after(response.headers),
            )
        return response
