"""A judge behind any server that speaks OpenAI's chat completions: hosted models, vLLM, Ollama,
llama.cpp, `rerank-bench serve`.

Retries, limits per minute, secrets and what a server says that it serves are those of every hosted
reranker: a judge is asked as one that scores a document at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.catalogue import entries
from bench.contract.identity import Fields
from bench.contract.request import CandidateList, Failure, Usage
from bench.core.options import option, validated
from bench.core.redaction import redacted_text
from bench.judging.budget import Budget
from bench.judging.judges import Ended, Heard, Judge, Question, Terms, Utterance
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.address import THIS_MACHINE
from bench.rerankers.remote.answer import Answer
from bench.rerankers.remote.chat import ChatReranker, tokens_in
from bench.rerankers.remote.http import HttpOptions
from bench.rerankers.remote.options import ADDRESS
from bench.rerankers.remote.overlap import Part
from bench.rerankers.remote.refusal import HINTS, Kind, Refusal

if TYPE_CHECKING:
    from bench.catalogue.price import Price
    from bench.contract.request import Scores

OPENAI = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
NO_ANSWER = "the server's answer holds no text"
TOKENS_OF_CHARACTERS = 3
"""Characters of a token at least, as a limit on the cost counts a request before it is sent."""


class ChatOptions(HttpOptions):
    base_url: str = option(
        OPENAI,
        pattern=ADDRESS,
        decides="scores",
        place="elsewhere",
        description="address of the server, such as http://localhost:8000/v1",
    )
    max_tokens: int = option(
        100, ge=1, decides="scores", description="tokens that the model may write"
    )


class ChatClient(ChatReranker):
    """Asks for one grade a request. What it writes as scores has no meaning: answers go to
    `heard`.
    """

    Options: ClassVar[type[RerankerOptions]] = ChatOptions
    service = "openai-chat"
    address = OPENAI
    documents_per_call = 1
    requests_of = "pairs"
    hints: ClassVar[dict[Kind, str]] = HINTS | dict.fromkeys(
        (Kind.TOO_LONG, Kind.TOO_LARGE), "lower --document-words"
    )
    options: ChatOptions

    def __init__(self, options: ChatOptions, terms: Terms) -> None:
        super().__init__(options)
        if self.options.base_url.rstrip("/") == OPENAI and not options.api_key_env:
            self.key_variable = OPENAI_KEY
        self._prompt = terms.prompt
        self._budget = Budget(terms.max_cost, self.price())
        self._questions: Sequence[Question] = ()
        self._heard: Heard = _forgotten
        self._ended: Ended = _nobody

    def price(self) -> Price | None:
        """Return the price that was given, else the catalogue's for this model at this address."""
        if self.options.price is not None:
            return self.options.price
        return entries.price("listwise-server", self.options.model, self.options.base_url)

    def ask_all(
        self, questions: Sequence[Question], heard: Heard, ended: Ended
    ) -> list[Failure | None]:
        """Return a failure for each question without a graded answer. Raises RerankerError."""
        self._questions, self._heard, self._ended = questions, heard, ended
        requests = [
            CandidateList(str(number), question.query, [question.doc_id], [question.document])
            for number, question in enumerate(questions)
        ]
        outcomes = self.rerank(requests)
        return [outcome if isinstance(outcome, Failure) else None for outcome in outcomes]

    def asked_of(self) -> Fields:
        """Return what decides the answers, as far as it is known: the server's own word included,
        where it gave one.
        """
        self._knows_what_is_served()
        return {**self._identity().fingerprint(), **self._hidden()}

    def reports(self) -> list[str]:
        """Return the texts of what the server says that it serves."""
        return [value for value in (self._served or {}).values() if isinstance(value, str)]

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        """Return what the model wrote, without scores."""
        messages = self._prompt.messages(query, documents[0])
        characters = sum(len(message["content"]) for message in messages)
        forecast = Usage(
            tokens=characters // TOKENS_OF_CHARACTERS + 1,
            tokens_out=self.options.max_tokens,
            calls=1,
        )
        reserved = self._budget.reserve(forecast)
        usage = Usage(calls=1)
        try:
            answer = self._read(self._chat(messages, self.options.max_tokens))
            usage += answer.usage()
            return answer
        finally:
            self._budget.settle(reserved, usage)

    def _read(self, data: Any) -> Answer:
        """Raises Refusal for what holds no text: another request may."""
        try:
            choice = data["choices"][0]
            text = choice["message"]["content"] or ""
        except (TypeError, LookupError):
            raise Refusal(NO_ANSWER) from None
        if not isinstance(text, str):
            raise Refusal(NO_ANSWER)
        self._note_model(data.get("model"))
        tokens, tokens_out = tokens_in(data.get("usage"))
        return Answer(
            (),
            text=text,
            cut=int(choice.get("finish_reason") == "length"),
            tokens=tokens,
            tokens_out=tokens_out,
        )

    def _answer(self, request: CandidateList, part: Part, scores: Scores) -> None:
        """Ask until an answer has a grade, as often as the question has attempts. Raises Refusal
        or RerankerError.
        """
        question = self._questions[int(request.query_id)]
        try:
            reason: str | None = None
            for _ in range(question.attempts):
                began = time.monotonic()
                answer = self._insist(request.query_id, request.query, request.docs)
                seconds = time.monotonic() - began
                usage = Usage(tokens=answer.tokens, tokens_out=answer.tokens_out)
                utterance = Utterance(
                    answer.text, answer.cut > 0, usage, self.served_model, seconds
                )
                reason = self._heard(question, utterance)
                if reason is None:
                    return
            raise Refusal(reason or NO_ANSWER, kind=Kind.REQUEST)
        finally:
            self._ended()


class OpenAiJudge(Judge):
    """A chat model behind an address."""

    def __init__(self, model: str, terms: Terms) -> None:
        """Raises BenchError for options that cannot be used."""
        fields = {**terms.options, "model": model, "max_tokens": terms.max_tokens}
        options = validated(ChatOptions, fields, f"judge '{ChatClient.service}:{model}'")
        self.model = model
        self.client = ChatClient(options, terms)
        self.base_url = redacted_text(options.base_url)
        self.temperature = {"temperature": 0, **options.body}["temperature"]
        self.price = self.client.price()
        self.is_free = self.price is None and self.client.host in THIS_MACHINE
        self.concurrency = options.concurrency
        self.requests_per_minute = options.requests_per_minute
        self.tokens_per_minute = options.tokens_per_minute

    def check(self) -> None:
        self.client.check()

    def load(self) -> None:
        self.client.load()

    def fields(self) -> Fields:
        return self.client.asked_of()

    def names(self) -> Sequence[str]:
        names = [self.model, self.client.served_model, *self.client.reports()]
        return list(filter(None, names))

    @property
    def served_model(self) -> str:
        return self.client.served_model

    def ask(self, questions: Iterable[Question], heard: Heard, ended: Ended) -> dict[str, str]:
        questions = list(questions)
        outcomes = self.client.ask_all(questions, heard, ended)
        reasons: dict[str, str] = {}
        for question, failure in zip(questions, outcomes, strict=True):
            if failure is not None:
                reasons[question.key] = failure.reason
        return reasons

    def doubt(self) -> None:
        self.client.doubt()

    def close(self) -> None:
        self.client.close()


def open_judge(model: str, terms: Terms) -> Judge:
    """Return a judge behind an address. Raises BenchError for options that cannot be used."""
    return OpenAiJudge(model, terms)


def _forgotten(question: Question, utterance: Utterance) -> str | None:
    """Keep no answer: nobody has asked yet."""
    return None


def _nobody() -> None:
    """Tell nobody that a question has ended."""
