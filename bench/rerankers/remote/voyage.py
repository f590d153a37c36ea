"""Voyage AI's hosted rerankers, by POST /v1/rerank through the voyageai SDK.

Reference: https://docs.voyageai.com/reference/reranker-api (1,000 documents and 600,000 tokens a
request; the query counts once per document). The SDK speaks through a session of the requests
library, which it keeps for each thread; for the time of a call that is one of ours, which hands
what is to be sent to the HTTP client of the reranker: that bounds time and size.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

from bench.core.errors import RerankerError
from bench.core.options import option
from bench.core.plugins import require
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.answer import Answer, count
from bench.rerankers.remote.client import ApiReranker
from bench.rerankers.remote.options import SplitOptions
from bench.rerankers.remote.refusal import Refusal, reason_in, retry_after


class VoyageOptions(SplitOptions):
    truncation: bool = option(
        True,
        decides="scores",
        description="let the service cut texts that are too long; otherwise they fail",
    )


class VoyageReranker(ApiReranker):
    """Scores are the service's relevance scores, between 0 and 1. `base_url` includes the version,
    as in https://api.voyageai.com/v1.
    """

    Options: ClassVar[type[RerankerOptions]] = VoyageOptions
    service = "voyage"
    package = "voyageai"
    key_variable = "VOYAGE_API_KEY"
    address = "https://api.voyageai.com/v1"
    options: VoyageOptions

    def connect(self, key: str, http: Any) -> Any:
        sdk = require("voyageai", "api")
        return sdk.Client(key, max_retries=0, timeout=self.options.timeout_s, base_url=self._url())

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        options, errors = self.options, require("voyageai.error", "api")
        try:
            with _sent_by(self._http):
                response = self._client.rerank(
                    query,
                    list(documents),
                    options.model,
                    top_k=len(documents),
                    truncation=options.truncation,
                )
        except errors.Timeout:
            raise Refusal(f"no answer within {options.timeout_s:g} s") from None
        except errors.APIConnectionError as error:
            raise Refusal.unconnected(error.__cause__ or error) from None
        except errors.VoyageError as error:
            raise _refusal(error) from None
        scores = [(item.index, item.relevance_score) for item in response.results]
        return Answer(scores, tokens=count(response.total_tokens))


def _refusal(error: Any) -> Refusal:
    status = error.http_status
    if status is not None and 200 <= status < 300:
        raise RerankerError(
            "voyage: the answer is not JSON; is base_url the address of a Voyage API?"
        ) from None
    return Refusal(
        reason_in(error.json_body or error.http_body), status, retry_after(error.headers)
    )


@contextmanager
def _sent_by(http: Any) -> Iterator[None]:
    """Have what the SDK sends in this thread go through our client. The thread may have a session
    of somebody else's calls, which has no bounds, and gets it back.
    """
    # the SDK offers no public way to a session where the thread has one; the tests pin this
    context = require("voyageai.api_resources.api_requestor", "api")._thread_context
    before = dict(vars(context))
    context.session, context.session_create_time = _session(http), time.time()
    try:
        yield
    finally:
        vars(context).clear()
        vars(context).update(before)


def _session(http: Any) -> Any:
    """Return a session of the requests library: what it sends goes through our client."""
    import requests

    session = requests.Session()
    session.trust_env = False  # our client reads the proxies of the environment
    adapter = _adapter_class()(http)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


@cache
def _adapter_class() -> Any:
    import httpx
    import requests

    class Adapter(requests.adapters.BaseAdapter):
        def __init__(self, http: Any) -> None:
            super().__init__()
            self._http = http

        def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
            headers = {
                name: value
                for name, value in request.headers.items()
                if name.lower() in ("authorization", "content-type")
            }
            try:
                response = self._http.request(
                    request.method, request.url, headers=headers, content=request.body
                )
            except httpx.TimeoutException as error:
                raise requests.exceptions.Timeout("no answer in time") from error
            except httpx.TransportError as error:
                raise requests.exceptions.ConnectionError("connection failed") from error
            return _as_requests(request, response)

        def close(self) -> None:
            """Leave the client open: it is the reranker's."""

    return Adapter


def _as_requests(request: Any, response: Any) -> Any:
    """Return an answer of httpx as the requests library has it."""
    import requests

    answer = requests.Response()
    answer.status_code, answer.url, answer.request = response.status_code, request.url, request
    answer.headers.update(response.headers)
    answer._content = response.content
    answer._content_consumed = True  # type: ignore[attr-defined]
    return answer
