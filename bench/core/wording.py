"""The words of every note, by its code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.core import collection_words
from bench.core.counting import counted, percent, times
from bench.core.note import Code, Note
from bench.core.phrases import Words, named, says, share


def worded(note: Note) -> str:
    """Return a note as a sentence, after what it is about where it names that."""
    sentence = WORDS[note.code](note)
    if note.where:
        return f"{note.where}: {sentence}"
    return sentence


def sentences(notes: Iterable[Note]) -> list[str]:
    """Return notes as sentences."""
    return [worded(note) for note in notes]


def _tuned_weights(note: Note) -> str:
    if note.count:
        return (
            f"weights {note.text}: the best nDCG@10 on the queries of the other folds, of "
            f"{note.count:.0f}"
        )
    return f"weights {note.text}: the best nDCG@10 on the queries of another dataset"


def _text(note: Note) -> str:
    return note.text


def _failed(note: Note) -> str:
    return f"{note.count:.0f} of {counted(note.total, 'query')} failed"


def _mostly_failed(note: Note) -> str:
    return f"{_failed(note)}: no quality is concluded from the rest (e.g. {note.text})"


def _failed_some(note: Note) -> str:
    return f"{_failed(note)} and score 0 (e.g. {note.text})"


def _judged(note: Note) -> str:
    extent = share(note)
    if highest := note.names.get("highest"):
        extent = f"{extent.removesuffix(' %')} to {highest}"
    return f"only {extent} of the top 10 is judged: unjudged documents count as not relevant"


def _ties(note: Note) -> str:
    return f"{note.count:.0f} of {counted(note.total, 'document')} tie in score"


def _beyond(note: Note) -> str:
    scores = counted(note.count, "score")
    return f"{scores} beyond single precision: the run file holds the nearest that keep the order"


def _truncated(note: Note) -> str:
    return f"{share(note)} of the pairs were cut at max length"


def _cut_queries(note: Note) -> str:
    return f"{times(note.count)} a query was too long and was cut as well"


def _repairs(note: Note) -> str:
    return f"{share(note)} of the answers were no complete order and had to be mended"


def _halvings(note: Note) -> str:
    return (
        f"the accelerator's memory was full {times(note.count)}: batches were halved until they "
        "fitted"
    )


def _cut_answers(note: Note) -> str:
    return (
        f"{share(note)} of the answers were cut off at the length limit: answer_tokens is too low"
    )


def _split_requests(note: Note) -> str:
    return f"{times(note.count)} a request was too large for the service and was sent in halves"


def _blanks(note: Note) -> str:
    documents = counted(note.count, "document")
    return f"not sent, and ranked behind all others: {documents} without text"


def _shared_bill(note: Note) -> str:
    return (
        f"{note.count:,.0f} of {counted(note.total, 'pair')} were bought once for several rows: "
        "its cost is their share of those bills, and lists of its own may be billed otherwise"
    )


def _shared_pairs(note: Note) -> str:
    return (
        f"{note.count:,.0f} of {counted(note.total, 'pair')} were shared: each was scored once for "
        "several rows or stages"
    )


def _approximate(note: Note) -> str:
    return (
        f"the approximate search ({named(note, 'index')}) finds {percent(note.count, 1)} of the "
        f"exact search's first {named(note, 'depth')} documents"
    )


def _short_lists(note: Note) -> str:
    documents = counted(note.count, "document")
    verb = "finds" if note.names.get("how") == "search" else "lists"
    source = named(note, "source")
    return f"{source} {verb} at most {documents} per query, and the depth is {note.total:.0f}"


def _extra_documents(note: Note) -> str:
    documents = counted(note.count, "document")
    return f"{documents} of {named(note, 'file')} left out: no candidates here"


def _failed_calls(note: Note) -> str:
    return f"{note.count:.0f} of {note.total:.0f} timed calls failed ({note.text})"


def _given_up(note: Note) -> str:
    return f"{_failed_calls(note)}; timing was given up"


def _no_time(note: Note) -> str:
    reason = f" ({note.text})" if note.text else ""
    return f"no call gave a time{reason}"


def _split_batches(note: Note) -> str:
    return f"a batch did not fit into memory and was split {times(note.count)} while timed"


def _queue_grew(note: Note) -> str:
    load = named(note, "load")
    return f"overloaded ({load} load; the queue grew): waits grow for as long as it lasts"


def _unanswered(note: Note) -> str:
    arrivals = f"{note.count:.0f} of {note.total:.0f} arrivals were never answered"
    load = named(note, "load")
    return f"overloaded ({load} load; {arrivals}): waits grow for as long as it lasts"


def _foreign_cpu(note: Note) -> str:
    return f"other processes took {percent(note.count)} of the CPU during timing"


def _load(note: Note) -> str:
    return f"the load average was {note.count:.1f} on {note.total:.0f} cores"


def _quota(note: Note) -> str:
    return f"the container's CPU quota held threads up for {percent(note.count)} of the time"


def _cpu_heat(note: Note) -> str:
    return f"the CPU was slowed down for heat {times(note.count)}"


def _gpu_heat(note: Note) -> str:
    return f"{named(note, 'device')} was slowed down for heat during {note.count:.1f} s"


def _noise_floor(note: Note) -> str:
    processes = counted(note.total, "process")
    how = f"{processes} of {named(note, 'queries')} queries, {named(note, 'day')}"
    return (
        f"differences in latency below {percent(note.count, 1)} are noise on this machine (A/A: "
        f"{named(note, 'reranker')} against itself, {how})"
    )


def _sweep_failed(note: Note) -> str:
    return f"with {named(note, 'change')}, {counted(note.count, 'query')} failed and score 0"


def _continued(note: Note) -> str:
    trials = counted(note.total, "trial")
    return (
        f"the run was interrupted, and continued at {named(note, 'moment')}: {note.count:.0f} of "
        f"{trials} had finished before"
    )


def _files(note: Note) -> str:
    if note.count == 1:
        return "1 file is"
    return f"{note.count:.0f} files are"


def _damaged(note: Note) -> str:
    return f"{_files(note)} damaged and now named *.damaged; what no other holds is scored again"


def _unreadable(note: Note) -> str:
    return f"{_files(note)} left alone because of '{note.text}'; their queries are scored again"


WORDS: Mapping[Code, Words] = {
    Code.TEXT: _text,
    Code.CAUTION: _text,
    Code.TRAINED_ON: says(
        "ᵗ trained on {text}, which this collection is of: its results here may be better than on "
        "unseen data"
    ),
    Code.UNCOMPARED: says(
        "trained by a recipe, and its folder has no {file}, which would say on what: it may have "
        "seen the queries measured here"
    ),
    Code.RANDOM_WEIGHTS: says("random weights: the order means nothing"),
    Code.OTHER_CANDIDATES: says(
        "a run over other candidates than these, left out of the verdict: `first_stage: NAME` "
        "binds it to its own first stage, and as an entry of first_stages it is measured over "
        "its own candidates"
    ),
    Code.MOSTLY_FAILED: _mostly_failed,
    Code.FAILED: _failed_some,
    Code.FEW_JUDGED: _judged,
    Code.TIES: _ties,
    Code.BEYOND_SINGLE_PRECISION: _beyond,
    Code.TRUNCATED: _truncated,
    Code.CUT_QUERIES: _cut_queries,
    Code.REPAIRS: _repairs,
    Code.HALVINGS: _halvings,
    Code.CUT_ANSWERS: _cut_answers,
    Code.SPLIT_REQUESTS: _split_requests,
    Code.BLANKS: _blanks,
    Code.SHARED_BILL: _shared_bill,
    Code.NO_RANKING: says("its ranking is not in the run folder: none of its documents is shown"),
    Code.UNTIMED: says("not timed: a reference, for its ranking only"),
    Code.BLANK_LINES: says("blank lines skipped in {file}: {count}"),
    Code.UNREAD_FILES: says("files left unread, since {file} is there ({unread}): {count}"),
    Code.BAD_ROWS: says("{rows} left out of {file} (the first on line {line}: {text}): {count}"),
    Code.NO_TEXT_FIELD: says("documents without a 'text' in {file} (they have {fields}): {count}"),
    Code.REPEATED_DOCUMENTS: says("documents repeated alike in {file}: {count}"),
    Code.REPEATED_QUERIES: says("queries repeated alike in {file}: {count}"),
    Code.QUOTED_QUERIES: says(
        "queries in quotes in {file}, as CSV writes them: the quotes are taken off: {count}"
    ),
    Code.REPEATED_JUDGMENTS: says("judgments repeated in {file}: {count}"),
    Code.UNGRADED_JUDGMENTS: says(
        "judgments without a grade in {file}, counted as grade {grade}: {count}"
    ),
    Code.JUDGED_AGAIN: says(
        "documents judged more than once for a query; the last grade counts: {count}"
    ),
    Code.BLANK_QUERIES: says("queries without text, left out: {count}"),
    Code.UNKNOWN_QUERIES: collection_words.unknown_queries,
    Code.UNJUDGED_QUERIES: says("queries without judgments, left out: {count}"),
    Code.UNJUDGED: says(
        "none of {count} queries has a judgment yet: rows are ranked, and nothing is measured "
        "(rerank-bench judge makes judgments)"
    ),
    Code.JUDGED_BY_MODEL: collection_words.judged_by_model,
    Code.WITHOUT_RELEVANT: says(
        "queries without a relevant document (grade {grade} or above), which can only score 0: "
        "{count}"
    ),
    Code.RELEVANT_ONLY: says(
        "judgments, which list relevant documents only (unjudged ones count as not relevant, and "
        "the share judged says little): {count}"
    ),
    Code.UNKNOWN_DOCUMENTS: collection_words.unknown_documents,
    Code.UNKNOWN_IN_SAMPLE: says(
        "judged documents that are not in the collection, of {total} looked up: {count}"
    ),
    Code.UNREACHABLE: says(
        "queries none of whose relevant documents is in the collection: no reranker can answer "
        "them: {count}"
    ),
    Code.BLANK_DOCUMENTS: says("documents whose rendered text is blank: {count}"),
    Code.OWN_LEFT_OUT: says(
        "queries whose candidates leave out the document with their own id (own_document: keep "
        "leaves it in): {count}"
    ),
    Code.OWN_LEFT_IN: says(
        "queries that are documents under the same id, and may be their own candidates "
        "(own_document: drop leaves these out): {count}"
    ),
    Code.RANKS_ONLY: says("{file} has ranks and no scores: its order is that of the ranks"),
    Code.CONTRADICTED: says(
        "queries of {file} whose rank column contradicts their scores: {count} of {total} (the "
        "score decides, the higher first, as in trec_eval)"
    ),
    Code.REPEATED_LINES: says("lines that {file} holds a second time, left out: {count}"),
    Code.ABSENT_QUERIES: says("queries absent from {file}, which get no candidates: {count}"),
    Code.FOREIGN_DOCUMENTS: says(
        "documents of {file} that {dataset} does not have, left out: {count}"
    ),
    Code.FOREIGN_LISTS: says(
        "queries of {file} of whose documents {dataset} has none, which get no candidates: {count}"
    ),
    Code.TIED_CANDIDATES: says(
        "documents in {file} that share their score with a neighbour, ordered by doc_id "
        "(descending): {count}"
    ),
    Code.CUT_IN_TIES: says(
        "queries of {file} cut at depth {depth} between documents of equal score: {count}"
    ),
    Code.SHORT_LISTS: _short_lists,
    Code.NO_TOKEN: says(
        "queries that have no token (nothing is left of them by the token pattern and the stop "
        "words), and get no candidates: {count}"
    ),
    Code.NO_MATCH: says(
        "queries that share no term with any document, and get no candidates: {count}"
    ),
    Code.OTHER_SCRIPT: collection_words.other_script,
    Code.INDEX_NOT_KEPT: says("the BM25 index could not be kept in the cache: {text}"),
    Code.TUNED_WEIGHTS: _tuned_weights,
    Code.OTHER_MAP: says(
        "its calibration map was fitted on other scores ({text}): its probabilities are no better "
        "than that"
    ),
    Code.MAP_OF_THESE_QUERIES: says(
        "its calibration map was fitted on queries that measure it ({text}): errors of its "
        "probabilities are too good here; fit it on another dataset or other queries"
    ),
    Code.FUSION_OF_THESE_QUERIES: says(
        "its maps were fitted on queries that measure it ({text}): its quality may be too good"
    ),
    Code.MAP_MAY_REORDER: says("its calibration map reads more than scores and may change orders"),
    Code.FAR_SCORES: says("{count} of {total} scores are far off and flatten Platt's curve"),
    Code.MODEL_TRAINING_UNKNOWN: says(
        "what its model {text} was trained on is unknown: if these queries are among it, its "
        "values are too good"
    ),
    Code.VECTORS_NOT_KEPT: says("the embeddings could not be kept in the cache: {text}"),
    Code.VECTORS_DAMAGED: says(
        "embeddings in the cache were damaged: they are set aside, and were made again"
    ),
    Code.CUT_DOCUMENTS: says(
        "texts of documents that are longer than the encoder reads, and were cut: {count} of "
        "{total}"
    ),
    Code.APPROXIMATE: _approximate,
    Code.SHALLOW: says(
        "depth {depth} ends above the cutoff of {measures}: there is nothing below it to find"
    ),
    Code.NO_CANDIDATES: says("queries without candidates, which score 0: {count}"),
    Code.OUT_OF_ORDER: says(
        "queries whose candidates are not in the order of their scores: {count}; n, n-1, ..., 1 "
        "stands in for these scores"
    ),
    Code.ABSENT_CANDIDATES: says(
        "{count} of {total} candidates are not in {file}: they come after all others, as the "
        "first stage had them"
    ),
    Code.EXTRA_DOCUMENTS: _extra_documents,
    Code.SLOW_FORMAT: says(
        "this CPU has no instructions for {dtype} (such as {instruction}): float32 may well be "
        "faster"
    ),
    Code.OTHER_FORMAT: says("{wanted} was asked for, {loaded} is what runs"),
    Code.SERVER_SILENT: says(
        "the server does not report what it serves: its scores are cached by its address and the "
        "model's name; use --fresh after a change"
    ),
    Code.SERVER_UNKNOWN: says(
        "the server does not say now what it serves ({text}): its scores are neither taken from "
        "the cache nor kept"
    ),
    Code.UNSETTLED: says("times had not settled after {count} warm-up calls"),
    Code.FAILED_CALLS: _failed_calls,
    Code.GIVEN_UP: _given_up,
    Code.NO_TIME: _no_time,
    Code.RETRIED_CALLS: says("{count} of {total} timed calls needed a retry and are no samples"),
    Code.SPLIT_BATCHES: _split_batches,
    Code.QUERIES_OUT_OF_TIME: says(
        "timed on {count} of {total} queries: the time limit was reached"
    ),
    Code.ROUNDS_OUT_OF_TIME: says(
        "timed on {count} of {total} queries: the time limit was reached ({rounds} rounds were "
        "planned)"
    ),
    Code.PAIRS_OUT_OF_TIME: says(
        "pairs/s from {count} pooled pairs: the time limit allowed no more"
    ),
    Code.COLD_FAILED: says("{count} of {total} fresh processes gave no answer ({text})"),
    Code.PAGE_CACHE: says("page cache {state} ({read})"),
    Code.QUEUE_GREW: _queue_grew,
    Code.UNANSWERED: _unanswered,
    Code.FAILED_ARRIVALS: says("{count} of {total} arrivals failed"),
    Code.FOREIGN_CPU: _foreign_cpu,
    Code.LOAD: _load,
    Code.QUOTA: _quota,
    Code.CPU_HEAT: _cpu_heat,
    Code.GPU_HEAT: _gpu_heat,
    Code.NOISE_FLOOR: _noise_floor,
    Code.SWEEP_LEFT_OUT: says("{change} left out: {text}"),
    Code.SWEEP_NOT_SCORED: says("the quality with {change} is not known: {text}"),
    Code.SWEEP_FAILED: _sweep_failed,
    Code.TIMING_ENDED: says("timing ended early: {text}"),
    Code.CONTINUED: _continued,
    Code.CACHE_DAMAGED: _damaged,
    Code.CACHE_UNREADABLE: _unreadable,
    Code.CACHE_CLOSED: says("left alone because of '{text}'; nothing is read from it"),
    Code.CACHE_IMPOSSIBLE: says(
        "{count} amounts of tokens or the like cannot be true and are not counted"
    ),
    Code.SHARED_PAIRS: _shared_pairs,
    Code.CACHE_NOT_KEPT: says(
        "scores are used but not kept because of '{text}'; another run scores them again"
    ),
    Code.WORKER_DIED: says("a worker {text}, and another one got its work"),
}
