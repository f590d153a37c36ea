"""`rerank-bench judge`: pools, asks, keeps every answer, writes judgments with their origin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BenchError
from bench.core.note import Notes
from bench.datasets import provenance
from bench.datasets.judgment_rows import read_qrels
from bench.judging.pool import Pool
from bench.judging.prompt import published
from bench.judging.written import check_scale, write_provenance
from bench.records.run import Run
from tests.support import fake_judge
from tests.support.command import Ended, bench
from tests.support.embedded_runs import embedded_run
from tests.support.fake_cohere import FakeCohere, cut, reply, serve
from tests.support.paths import ROOT

PAIRS = 36
"""Documents among the first two of some row of the run below."""
MODEL = "openai-chat:grader-1"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("judge")
    return embedded_run(folder, "hashing", name="judging", latency=None)


@pytest.fixture
def fake() -> Iterator[FakeCohere]:
    with serve() as server:
        server.start_over(fake_judge.good)
        yield server


class Judging:
    """Calls of the command with one server and one folder."""

    def __init__(self, run: Run, fake: FakeCohere, folder: Path) -> None:
        self.run, self.fake, self.folder = run, fake, folder
        self.qrels = folder / "judged" / "everyday" / "qrels.txt"

    def arguments(self, *more: str, retries: int = 2, timeout_s: float = 5) -> list[str]:
        patience = ("-o", "backoff_s=0.01", "-o", f"retries={retries}", "-o")
        address = ("--base-url", f"{self.fake.url}/v1", "--out", str(self.folder / "judged"))
        plain = ("judge", str(self.run.folder), "--with", MODEL, "--depth", "2", "-q")
        return [*plain, *address, *patience, f"timeout_s={timeout_s}", *more]

    def __call__(self, *more: str, **environment: str) -> Ended:
        return self.call(self.arguments(*more), **environment)

    def call(self, arguments: list[str], **environment: str) -> Ended:
        return bench(*arguments, cwd=self.folder, width=120, **environment)

    @property
    def grades(self) -> dict[str, dict[str, int]]:
        return read_qrels(self.qrels, Notes())

    @property
    def provenance(self) -> provenance.Provenance:
        facts = provenance.read(self.qrels)
        assert facts is not None
        return facts

    @property
    def replies(self) -> list[dict[str, Any]]:
        lines = (self.folder / "judged" / "answers.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def judging(run: Run, fake: FakeCohere, tmp_path: Path) -> Judging:
    return Judging(run, fake, tmp_path)


def test_every_pair_gets_the_grade_of_its_texts_and_is_asked_once(judging: Judging) -> None:
    ended = judging()
    assert ended.returncode == 0, ended.stderr
    assert len(judging.fake.requests) == PAIRS
    request = judging.fake.requests[0]
    assert (request["temperature"], request["max_tokens"]) == (0, 100)
    by_texts = {fake_judge.pair_of(request) for request in judging.fake.requests}
    assert len(by_texts) == PAIRS
    expected = sorted(fake_judge.grade_of(*pair) for pair in by_texts)
    assert sorted(grade for own in judging.grades.values() for grade in own.values()) == expected
    assert judging().returncode == 0
    assert len(judging.fake.requests) == PAIRS, "answers that are kept are not asked for again"


def test_the_pool_is_the_union_of_what_rows_rank_first(judging: Judging) -> None:
    judging()
    expected: set[tuple[str, str]] = set()
    for trial_id, record in judging.run.records.items():
        if not record.trial.is_oracle:
            for query, ranking in judging.run.ranking(trial_id).items():
                expected |= {(query, doc_id) for doc_id in ranking.doc_ids[:2]}
    assert {(query, doc) for query, own in judging.grades.items() for doc in own} == expected


def test_the_provenance_says_who_judged_what_and_at_which_price(judging: Judging) -> None:
    ended = judging("--price", "2", "10", "--yes")
    assert ended.returncode == 0, ended.stderr
    facts = judging.provenance
    assert (facts.model, facts.served_model) == ("grader-1", "grader-1-2026-01-01")
    assert facts.prompt.digest == published().digest
    assert facts.prompt.text.startswith("Given a query and a passage")
    assert (facts.temperature, facts.depth, facts.pairs) == (0, 2, PAIRS)
    assert facts.origins == {"model": PAIRS}
    assert sum(facts.grades.values()) == PAIRS
    assert (facts.tokens, facts.tokens_out) == (10 * PAIRS, 5 * PAIRS)
    assert facts.usd == pytest.approx(PAIRS * (10 * 2 + 5 * 10) / 1e6)
    assert (judging.qrels.parent / facts.answers).resolve() == judging.folder / (
        "judged/answers.jsonl"
    )
    line = judging.qrels.read_text().splitlines()[0].split()
    assert line[1] == "model", "the second column says who judged"


def test_secrets_are_in_no_file(judging: Judging) -> None:
    key = "sk-very-secret-0123456789"
    address = judging.fake.url.replace("http://", "http://user:pass-word-1@")
    ended = judging("-o", "api_key_env=JUDGE_KEY", JUDGE_KEY=key)
    assert ended.returncode == 0, ended.stderr
    assert judging.fake.keys[0] == f"Bearer {key}"
    ended = judging("--base-url", f"{address}/v1")
    assert ended.returncode == 0, ended.stderr
    for path in (judging.folder / "judged").rglob("*"):
        if path.is_file():
            assert key not in path.read_text()
            assert "pass-word-1" not in path.read_text()


def test_passing_faults_are_asked_again(judging: Judging) -> None:
    faults: list[Any] = [
        lambda request: reply(429, {"error": {"message": "slow down"}}, retry_after="0"),
        lambda request: reply(500, {"error": "broken"}),
        cut,
        lambda request: reply(200, b"<html>a proxy</html>"),
        lambda request: reply(200, {"choices": []}),
        fake_judge.writes(""),
        fake_judge.writes("I would rather not say."),
        fake_judge.writes("##final score: 7"),
        fake_judge.writes("final score: 1, or final score: 2"),
    ]
    script: list[Any] = []
    for fault in faults:
        script += [fault, fake_judge.good]
    judging.fake.script = script
    ended = judging()
    assert ended.returncode == 0, ended.stderr
    assert len(judging.fake.requests) == PAIRS + len(faults)
    assert sum(judging.provenance.grades.values()) == PAIRS
    ungraded = [reply["reason"] for reply in judging.replies if reply["grade"] is None]
    assert ungraded == [
        "the answer is empty",
        "the answer has no grade",
        "7 is no grade from 0 to 3",
        "the answer has several final scores",
    ]


def test_an_answer_without_a_grade_is_listed_and_never_a_zero(judging: Judging) -> None:
    """And it was paid for: another call does not ask again, unless it is told to."""
    judging.fake.script = [fake_judge.writes("hm")] * 4
    ended = judging("--asks", "2")
    assert ended.returncode == 2
    assert f"2 of {PAIRS} pairs have no grade (e.g. the answer has no grade)" in ended.stderr
    facts = judging.provenance
    assert len(facts.failures) == 2
    assert sum(facts.grades.values()) == facts.origins["model"] == PAIRS - 2
    for failure in facts.failures:
        assert failure.document not in judging.grades.get(failure.query, {})
    asked = len(judging.fake.requests)
    assert judging("--asks", "2").returncode == 2
    assert len(judging.fake.requests) == asked
    assert judging("--asks", "2", "--ask-again").returncode == 0
    assert len(judging.fake.requests) == asked + 2
    assert len(judging.provenance.failures) == 0


def test_a_slow_answer_is_given_up_and_its_pair_asked_when_called_again(judging: Judging) -> None:
    def slow(request: dict[str, Any]) -> Any:
        time.sleep(0.4)
        return fake_judge.good(request)

    judging.fake.script = [slow]
    ended = judging.call(judging.arguments(retries=0, timeout_s=0.2))
    assert ended.returncode == 2
    assert f"1 of {PAIRS} pairs have no grade (e.g. no answer within 0.2 s)" in ended.stderr
    assert judging().returncode == 0
    assert len(judging.replies) == PAIRS


def test_a_model_that_never_grades_is_given_up_before_it_costs_more(judging: Judging) -> None:
    judging.fake.start_over(fake_judge.writes("no idea"))
    ended = judging("--asks", "1")
    assert ended.returncode == 2
    assert "gave up after 20 failed pairs in a row (the answer has no grade)" in ended.stderr
    assert len(judging.fake.requests) == 20
    assert not judging.qrels.exists()


def test_a_key_that_is_refused_ends_the_call(judging: Judging) -> None:
    judging.fake.start_over(lambda request: reply(401, {"error": "bad key"}))
    ended = judging()
    assert ended.returncode == 2
    assert "a request without a key was refused" in ended.stderr
    assert len(judging.fake.requests) == 1


def test_another_model_or_prompt_uses_no_answer_of_before(judging: Judging, tmp_path: Path) -> None:
    judging()
    assert judging("--with", "openai-chat:grader-2").returncode == 0
    assert len(judging.fake.requests) == 2 * PAIRS
    prompt = tmp_path / "own.txt"
    prompt.write_text("Query: {query}\nPassage: {passage}\n\nSplit this into nothing. 0 to 3?")
    assert judging("--prompt", str(prompt)).returncode == 0
    assert len(judging.fake.requests) == 3 * PAIRS
    assert judging.provenance.prompt.name == "own.txt"
    prompt.write_text("How relevant is {passage}?")
    ended = judging("--prompt", str(prompt))
    assert (ended.returncode, "has no {query}" in ended.stderr) == (2, True)


def test_an_estimate_sends_nothing_and_a_price_wants_a_yes(judging: Judging) -> None:
    ended = judging("--estimate", "--format", "json", "--price", "2", "10")
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)["datasets"]
    assert (row["pairs"], row["requests"], row["tokens_out"]) == (PAIRS, PAIRS, 100 * PAIRS)
    assert row["usd"] == pytest.approx((2 * row["tokens"] + 10 * row["tokens_out"]) / 1e6)
    ended = judging("--price", "2", "10")
    assert ended.returncode == 2
    assert "give --yes, or --max-cost" in ended.stderr
    assert judging.fake.requests == []


def test_no_request_starts_that_could_cost_more_than_allowed(judging: Judging) -> None:
    """At 1,000 dollars a million, an answer of 5 tokens costs half a cent; 100 are forecast."""
    dear = ("--price", "0", "1000")
    ended = judging(*dear, "--max-cost", "0.2")
    assert ended.returncode == 2
    assert "--max-cost 0.2 is reached" in ended.stderr
    assert len(judging.fake.requests) == 21
    assert not judging.qrels.exists(), "half a pool would be a biased one"
    assert judging(*dear, "--max-cost", "1", "-o", "concurrency=4").returncode == 0
    assert len(judging.fake.requests) == PAIRS
    assert judging.provenance.usd == pytest.approx(PAIRS * 0.005)


def test_several_requests_at_once_give_the_same_file(judging: Judging) -> None:
    judging()
    alone = judging.qrels.read_bytes()
    (judging.folder / "judged" / "answers.jsonl").unlink()
    assert judging("-o", "concurrency=8").returncode == 0
    assert judging.qrels.read_bytes() == alone


def test_two_processes_do_not_judge_into_one_folder(judging: Judging) -> None:
    from filelock import FileLock

    judging()
    with FileLock(judging.folder / "judged" / ".lock"):
        ended = judging()
    assert ended.returncode == 2
    assert "another process judges into it" in ended.stderr


def test_a_damaged_line_is_counted_and_asked_again(judging: Judging) -> None:
    judging()
    path = judging.folder / "judged" / "answers.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["{broken", *lines[1:-1], lines[-1][:20]]))
    ended = judging()
    assert ended.returncode == 0, ended.stderr
    assert "1 line cannot be read and are asked again" in ended.stderr
    assert len(judging.fake.requests) == PAIRS + 2


def test_a_server_that_changes_its_model_is_named_by_all_of_them(judging: Judging) -> None:
    judging("--depth", "1")
    answers = judging.folder / "judged" / "answers.jsonl"
    replies = [json.loads(line) for line in answers.read_text().splitlines()]
    for fields in replies:
        # a line of another model has a checksum of its own, or none as before there were any
        del fields["sha256"]
    text = "".join(f"{json.dumps(fields)}\n" for fields in replies)
    answers.write_text(text.replace("grader-1-2026-01-01", "grader-1-2025-01-01"))
    judging()
    assert judging.provenance.served_model == "grader-1-2025-01-01 and grader-1-2026-01-01"


def test_a_persons_check_stays_with_the_same_judgments_alone(judging: Judging) -> None:
    judging("--depth", "1")
    check = provenance.Agreement(
        pairs=9, kappa=0.5, low=0.1, high=0.9, weighted=0.6, accuracy=0.7, reviewed="today"
    )
    write_provenance(judging.qrels, judging.provenance.model_copy(update={"agreement": check}))
    judging("--depth", "1")
    assert judging.provenance.agreement == check
    judging()
    assert judging.provenance.agreement is None


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_kill_loses_at_most_what_is_in_flight(judging: Judging) -> None:
    killed = threading.Event()

    def stalling(request: dict[str, Any]) -> Any:
        if len(judging.fake.requests) >= 20:
            killed.wait(30)
        return fake_judge.good(request)

    judging.fake.start_over(stalling)
    command = [sys.executable, "-m", "bench", *judging.arguments("-o", "concurrency=2")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=judging.folder, env=environment)
    deadline = time.monotonic() + 60
    while len(judging.fake.requests) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    killed.set()
    sent = len(judging.fake.requests)
    assert 20 <= sent <= 21
    ended = judging()
    assert ended.returncode == 0, ended.stderr
    assert len(judging.fake.requests) - sent <= PAIRS - sent + 2
    assert len(judging.replies) == PAIRS
    assert sum(judging.provenance.grades.values()) == PAIRS


def test_holes_alone_are_asked_and_people_stay(judging: Judging) -> None:
    ended = judging("--only", "holes")
    assert ended.returncode == 0, ended.stderr
    judged = judging.run.judgments
    columns = (judged[name].tolist() for name in ("query", "document", "grade"))
    people = {(query, doc_id): grade for query, doc_id, grade in zip(*columns, strict=True)}
    origins: dict[str, dict[tuple[str, str], int]] = {"people": {}, "model": {}}
    for line in judging.qrels.read_text().splitlines():
        query, origin, document, grade = line.split()
        origins[origin][query, document] = int(grade)
    assert origins["people"] == people
    holes = set(origins["model"])
    assert holes
    assert holes.isdisjoint(people)
    assert len(judging.fake.requests) == len(holes) == judging.provenance.origins["model"]
    ended = judging("--only", "holes", "--grades", "0,0,1,1")
    assert ended.returncode == 0, ended.stderr
    assert {judging.grades[query][document] for query, document in holes} == {0, 1}


def test_grades_of_another_scale_are_merged_only_where_it_is_said_how() -> None:
    binary = Pool("made", [], [], "", {"q1": {"d1": 1, "d2": 0}})
    with pytest.raises(BenchError, match="go up to 1, the judge's to 3: say what 0, 1, 2 and 3"):
        check_scale(binary)


def test_a_judge_of_the_family_of_a_row_is_refused(fake: FakeCohere, tmp_path: Path) -> None:
    rows = [{"rerank-server": {"model": "qwen3-reranker", "base_url": f"{fake.url}/v1"}}]
    from tests.support.fake_cohere import good_jina

    fake.start_over(good_jina)
    run = embedded_run(tmp_path, "hashing", name="kin", latency=None, rerankers=rows)
    fake.start_over(fake_judge.good)
    judging = Judging(run, fake, tmp_path)
    ended = judging("--with", "openai-chat:Qwen/Qwen2.5-7B-Instruct")
    assert ended.returncode == 2
    assert "is of the family of what it would judge: qwen3-reranker (qwen3-reranker)" in (
        ended.stderr
    )
    assert fake.requests == []
    ended = judging("--with", "openai-chat:qwen3-reranker", "--insist")
    assert ended.returncode == 0, ended.stderr
    assert judging.provenance.insisted == ("qwen3-reranker (qwen3-reranker)",)


def test_a_model_on_this_machine_says_what_its_server_says(run: Run, tmp_path: Path) -> None:
    """A model with random weights grades nothing: every pair is listed, and none is a 0."""
    from tests.integration.test_serving import serving

    plain = ("judge", str(run.folder), "--depth", "1", "-q", "--max-tokens", "4", "--asks", "1")
    few = ("--dataset", "everyday", "--document-words", "3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
        with serving("listwise", model="tiny:chat") as server:
            address = ("--base-url", f"{server.url}/v1", "--out", "far")
            far = bench(*plain, *few, "--with", "openai-chat:tiny:chat", *address, cwd=tmp_path)
        near = bench(*plain, *few, "--with", "local-chat:tiny:chat", "--out", "near", cwd=tmp_path)
    assert (far.returncode, near.returncode) == (2, 2)
    assert "have no grade" in near.stderr
    texts = []
    for name in ("far", "near"):
        lines = (tmp_path / name / "answers.jsonl").read_text().splitlines()
        replies = [json.loads(line) for line in lines]
        assert {fields["grade"] for fields in replies} == {None}
        texts.append([(fields["document"], fields["text"], fields["tokens"]) for fields in replies])
        assert not (tmp_path / name / "everyday").exists()
    assert texts[0] == texts[1]
    assert len(texts[0]) > 10
