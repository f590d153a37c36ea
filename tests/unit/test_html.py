"""report.html as a file: what stands in it, that it asks for nothing, that text stays text, that it
stays small.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import reports
from bench.calibration.errors import auc_of
from bench.core.counting import counted
from bench.records.run import Run
from bench.records.schema import Cost
from bench.reports.charts import svg
from bench.reports.charts.scores import CandidateScores
from bench.reports.charts.svg import Mark
from bench.reports.document import Bullets, Document, Section
from bench.reports.plots import style
from bench.reports.renderers.html import asset, for_script, render
from tests.support.agreement import PRINTED
from tests.support.made_reports import Made, made_report
from tests.support.made_runs import made_run

PRICE = Cost(
    usd=0.08,
    usd_per_1000_queries=2.0,
    units=40,
    unit="search",
    usd_per_unit=0.002,
    as_of="2026-01-01",
    source="suite",
)

SCENARIOS = ("single", "offline")
PICTURES = ("pareto", "latency")


class Page(HTMLParser):
    """Elements with their attributes, the text of table rows, and what stands in the data
    element.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.lines: list[list[str]] = []
        self.data = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._inside.append("data" if ("id", "data") in attributes else tag)
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th") and self.lines:
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if self._inside:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] == "data":
            self.data += data
        elif self.lines and self.lines[-1] and {"td", "th"} & set(self._inside):
            self.lines[-1][-1] += data

    def row(self, name: str) -> list[str]:
        return next(
            [" ".join(cell.split()) for cell in line]
            for line in self.lines
            if line and name in line[0]
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    content = Made(
        noise={"slow-good": 0.4, "fast-good": 0.4, "poor": 40.0, "hosted": 0.8},
        devices={"fast-good": "cpu cuda", "hosted": "-"},
        skipped={"gone": "no model hub"},
        failures={"hosted": {"q3": "HTTP 429: too many requests"}},
        costs={"hosted": PRICE},
        notes=["documents without text: 12"],
    )
    return made_report(tmp_path_factory.mktemp("made"), content)


@pytest.fixture(scope="module")
def text(run: Run) -> str:
    return reports.html(run)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_no_line_ends_between_a_number_and_its_unit() -> None:
    lines = Bullets([("it holds in 39 % of the cases, p50 1,938 ms; % of a msg",)])
    page = render(Document("", [Section("s", "Sureness", [lines])]))
    text = "it holds in 39\u00a0% of the cases, p50 1,938\u00a0ms; % of a msg"
    assert text in page


def test_it_begins_with_the_verdict(text: str) -> None:
    assert (
        text.index('id="verdict"')
        < text.index('id="results"')
        < text.index('id="tradeoff"')
        < text.index('id="latency"')
    )
    assert re.search(
        r"<b>(slow|fast)-good \((cpu|cuda)\)</b> ranks best on made \(bm25, 20 candidates\): "
        r"nDCG@10 0\.\d{4}, \+0",
        text,
    )
    assert "Skipped:</b>" in text
    assert "gone (no model hub)" in text


def test_every_row_stands_in_the_main_table_with_its_interval_cost_and_failures(
    run: Run, page: Page
) -> None:
    record = next(record for record in run.records.values() if record.trial.reranker == "hosted")
    found = record.quality["nDCG@10"]
    head, row = page.row("reranker"), page.row("hosted")
    cells = dict(zip(head, row, strict=True))
    assert cells["nDCG@10"] == f"{found.mean:.4f}[{found.low:.3f}, {found.high:.3f}]"
    assert cells["$/1k queries"] == "2.00as of 2026-01-01"
    assert cells["failed"] == "2.5 %"
    assert "worse" in page.row("poor")[head.index("Δ first")]
    assert page.row("gone")[1] == "skipped no model hub"
    for name in ("first-stage", "slow-good", "oracle"):
        assert page.row(name)[1].startswith(
            f"{run.to_frame().set_index('reranker').loc[name, 'nDCG@10']:.4f}"
        )


def test_a_reranker_has_the_same_colour_and_mark_in_every_picture(run: Run) -> None:
    from matplotlib.colors import to_hex

    from bench.reports.plots import draw, style
    from bench.reports.view import View

    marks = View(run).marks
    for kind in ("pareto", "depth", "latency"):
        axes = next(iter(draw(run, kind))).figure.axes[0]
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        for name in ("poor", "slow-good"):
            trial = next(row.trial.id for row in run.rows if row.name == name)
            handles = axes.get_legend().legend_handles
            [handle] = [h for h, text in zip(handles, texts, strict=True) if name in text]
            line = getattr(handle, "lines", [handle])[0]
            assert to_hex(line.get_color()).upper() == style.COLOURS[marks[trial].shade]
    assert {style.look(mark)["marker"] for mark in marks.values()} <= set(style.MARKERS.values())


def test_failures_come_before_what_a_narrow_window_cuts(page: Page) -> None:
    head = page.row("reranker")
    assert head.index("failed") == head.index("p") + 1
    assert "no-repeat local" in asset("report.css"), "more columns to the right cast a shadow"


def test_a_call_of_many_queries_pairs_is_not_called_one_query(run: Run) -> None:
    from bench.reports.sections.latency import table

    keys = {name: [column.key for column in table(name, run.rows).columns] for name in SCENARIOS}
    assert "queries" in keys["single"]
    assert "queries" not in keys["offline"]


def test_candidates_are_counted_in_the_same_words_everywhere(tmp_path: Path) -> None:
    from bench.reports.plots import draw

    values = {"first-stage": [0.4, 0.5], "a": [0.6, 0.5]}
    record = {name: {"candidates": {"longest": 4}} for name in values}
    run = made_run(tmp_path, values, milliseconds={"a": [4.0, 4.0]}, record=record)
    words = "at most 4 candidates (depth 5)"
    titles = [next(iter(draw(run, kind))).figure.axes[0].get_title(loc="left") for kind in PICTURES]
    for text in (*titles, reports.html(run), reports.markdown(run)):
        assert words in text
    assert list(run.to_frame()["candidates"]) == [4, 4]


def test_it_loads_nothing_and_runs_only_what_its_policy_names(text: str, page: Page) -> None:
    import base64
    import hashlib

    assert not [
        (tag, attributes)
        for tag, attributes in page.elements
        if tag in ("img", "iframe", "object", "embed", "form")
    ]
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action")
    ]
    assert {address for address in addresses if address and not address.startswith("#")} == {
        "data:,"
    }
    assert not [
        name
        for _, attributes in page.elements
        for name in attributes
        if name.startswith("on") or name == "style"
    ]
    policy = next(
        attributes["content"]
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in str(policy)
    for kind, pattern in (
        ("style", r"<style>(.*?)</style>"),
        ("script", r"<script>(.*?)</script>"),
    ):
        [content] = re.findall(pattern, text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in str(policy)


def test_the_drill_down_holds_what_the_rankings_say(run: Run, page: Page) -> None:
    data = json.loads(page.data)
    [group] = data["groups"]
    names = [one["name"] for one in group["rerankers"]]
    assert names == ["slow-good", "fast-good", "fast-good", "poor", "hosted", "oracle"]
    query = next(i for i, (query, _) in enumerate(group["queries"]) if query == "q7")
    first = run.ranking("made--bm25--first-stage")["q7"].doc_ids
    ranked = run.ranking("made--bm25--poor--cpu")["q7"].doc_ids
    value, top, was, now = group["rerankers"][3]["results"][query]
    assert [data["docs"][number][0] for number in top] == list(ranked[:10])
    assert was == [first.index(document) + 1 for document in ranked[:10]]
    assert now == [ranked.index(document) + 1 for document in first[:10]]
    values = run.per_query.set_index(["trial", "measure", "query"])["value"]
    assert value == pytest.approx(values["made--bm25--poor--cpu", "nDCG@10", "q7"], abs=PRINTED)
    grades = run.judgments[run.judgments["query"] == "q7"].set_index("document")["grade"]
    assert {
        data["docs"][int(number)][0]: grade for number, grade in group["grades"][query].items()
    }.items() <= grades.to_dict().items()
    assert group["rerankers"][4]["failures"] == {"q3": "HTTP 429: too many requests"}
    assert dict(data["docs"])[ranked[0]].split()[0].isalpha()


def test_private_texts_are_absent_and_ids_stay(tmp_path: Path) -> None:
    run = made_report(
        tmp_path,
        Made(
            noise={"a": 1.0},
            queries=4,
            query_text="secret question",
            doc_text="secret text",
            with_texts=False,
        ),
    )
    text = reports.html(run)
    assert "secret" not in text
    assert '"d12"' in text


def test_five_rerankers_300_queries_100_documents_stay_under_five_megabytes(tmp_path: Path) -> None:
    """With the longest texts that a run keeps, in a script of three bytes a letter, the page cuts
    them further.
    """
    run = made_report(
        tmp_path,
        Made(
            queries=300,
            depth=100,
            doc_text="文" * 700,
            noise={f"reranker-{i}": 1.0 for i in range(5)},
        ),
    )
    text = reports.html(run)
    assert len(text.encode()) < 5_000_000
    data = json.loads(Page(text).data)
    assert len(data["groups"][0]["queries"]) == 300
    assert 60 <= data["cut"] < 600


def test_of_very_many_queries_those_that_moved_most_are_kept_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.reports.drill.MOST_QUERIES", 25)
    run = made_report(tmp_path, Made(noise={"a": 0.5}, queries=60, depth=10, timed=False))
    [group] = json.loads(Page(reports.html(run)).data)["groups"]
    values = run.per_query[run.per_query["measure"] == "nDCG@10"].pivot_table(
        index="query", columns="trial", values="value"
    )
    moved = (
        (values["made--bm25--a--cpu"] - values["made--bm25--first-stage"])
        .abs()
        .sort_values(ascending=False)
    )
    assert {query for query, _ in group["queries"]} == set(moved.index[:25])
    assert group["all"] == 60


def test_several_collections_get_an_overview_and_a_part_each(tmp_path: Path) -> None:
    run = made_report(
        tmp_path, Made(noise={"a": 0.5, "b": 2.0}, datasets=("one", "another"), queries=10)
    )
    text = reports.html(run)
    page = Page(text)
    frame = run.to_frame()
    means = frame[frame["reranker"] == "a"]["nDCG@10"]
    assert [cell[-6:] for cell in page.row("a (cpu)")[1:]] == [
        *(f"{value:.4f}" for value in means),
        f"{means.mean():.4f}",
    ]
    assert len(json.loads(page.data)["groups"]) == 2
    assert text.count('<details class="part" open>') >= 3


def test_a_run_without_rankings_timings_texts_or_facts_still_has_its_page(tmp_path: Path) -> None:
    text = reports.html(
        made_run(
            tmp_path, {"first-stage": [0.1, 0.2, 0.3], "a": [0.3, 0.4, 0.4], "oracle": [1, 1, 1]}
        )
    )
    assert "This run holds no rankings to look into." not in text
    assert "Biggest wins and losses" in text
    assert json.loads(Page(text).data)["groups"] == []
    nothing = reports.html(made_run(tmp_path / "other", {}, failed=["a"], name="failed"))
    assert "Nothing was measured" in nothing


def test_rows_without_quality_are_shown_with_their_timings(run: Run, tmp_path: Path) -> None:
    """Such as a model of random weights, timed for its cost alone."""
    bare = made_report(tmp_path, Made(noise={"a": 0.5, "bare": 1.0}, queries=10))
    path = bare.folder / "records" / "made--bm25--bare--cpu.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"quality": {}, "vs_first_stage": {}})
    )
    page = Page(reports.html(Run(bare.folder)))
    head, row = page.row("reranker"), page.row("bare")
    assert row[head.index("nDCG@10")] == "–"
    assert float(row[head.index("p50 ms")].split("[")[0]) > 0


def test_depth_curves_hold_every_depth_that_was_measured_or_timed(run: Run, text: str) -> None:
    depth = text[text.index('<section id="depth"') : text.index('<section id="latency"')]
    quality = (
        run.depths[run.depths["measure"] == "nDCG@10"].groupby(["trial", "depth"])["value"].mean()
    )
    for at in (1, 5, 10, 20):
        value = quality["made--bm25--poor--cpu", at]
        assert f"poor (cpu)\n{counted(at, 'candidate')}\nnDCG@10 {value:.4g}" in depth
    swept = (
        run.sweep[run.sweep["trial"] == "made--bm25--poor--cpu"]
        .groupby("depth")["nanoseconds"]
        .median()
        / 1e6
    )
    for at, median in swept.items():
        assert f"poor (cpu)\n{counted(at, 'candidate')}\nms per query, p50 {median:.4g}" in depth


def test_nine_series_are_nine_lines_and_no_name_covers_a_point(tmp_path: Path) -> None:
    """The eighth has the first one's colour, and a dashed line; the first stage's name goes above
    the chart where a curve ends next to it.
    """
    noise = {f"reranker-{i}": 0.3 + 0.25 * i for i in range(8)}
    run = made_report(tmp_path, Made(noise={**noise, "no-help": 2.5}))
    page = reports.html(run)
    depth = page[page.index('<section id="depth"') :]
    chart = depth[depth.index("<svg") : depth.index("</svg>")]
    styles = re.findall(r'class="(curve [^"]*)"', chart)
    assert len(styles) == len(set(styles)) == 9
    assert ".curve.turn1 { stroke-dasharray" in page
    [name] = re.findall(r"<text [^>]*>(?:first-stage 0[^<]*)</text>", chart)
    assert f'y="{svg.WIDE.top - 12}"' in name, "above the chart"
    marks = [style.look(Mark(i)) | {"line": style.line_of(Mark(i))} for i in range(9)]
    assert len({(look["color"], look["line"]) for look in marks}) == 9


def test_every_scenario_has_its_numbers_and_withheld_percentiles_say_so(
    run: Run, text: str, page: Page
) -> None:
    latency = text[text.index('<section id="latency"') : text.index('<section id="scores"')]
    for scenario in ("single", "offline", "request", "some new scenario"):
        assert f"<code>{scenario}</code>" in latency
    table = Page(latency)
    head, row = table.row("reranker"), table.row("slow-good (cpu)")
    frame = run.to_frame().set_index("reranker")
    assert row[head.index("p50 ms")].startswith(f"{frame.loc['slow-good', 'p50 ms']:.1f}")
    assert row[head.index("p95 ms")] == "withheld"
    assert row[head.index("calls")] == "80"
    assert latency.count("<code>server</code>") == 1
    loads = [line[1] for line in table.lines if len(line) > 1 and line[0] == "slow-good (cpu)"]
    assert {"4/s", "8/s"} <= set(loads)


def test_a_notebook_shows_the_main_table_with_its_names_escaped(tmp_path: Path) -> None:
    shown = made_run(tmp_path, {"first-stage": [0.1, 0.2], "a<b": [0.3, 0.4]})._repr_html_()
    assert "a&lt;b" in shown
    assert "0.35" in shown
    assert "nan" not in shown.lower()


def test_json_in_a_script_cannot_end_it() -> None:
    hostile: Any = {"</script>": "<!-- \u2028\u2029 & \x00\x1f\x7f", "n": [1.5, None]}
    text = str(for_script(hostile))
    assert json.loads(text) == hostile
    assert not set("<>&\u2028\u2029\x00\x7f") & set(text)


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [
        (0.31, 0.74, False),
        (3, 9000, True),
        (41, 43, True),
        (-7.2, 3.1, False),
        (0.5, 0.5001, False),
    ],
)
def test_ticks_are_few_round_and_inside(low: float, high: float, log: bool) -> None:
    ticks = svg.Scale(low, high, 0, 100, log).ticks(6)
    assert 1 <= len(ticks) <= 8
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert ticks == sorted(ticks)


def test_the_area_under_the_curve_agrees_with_counting_pairs() -> None:
    rng = np.random.default_rng(1)
    good, bad = rng.integers(0, 9, 40).astype(float), rng.integers(0, 7, 60).astype(float)
    counted = np.mean([(g > b) + 0.5 * (g == b) for g in good for b in bad])
    assert auc_of(good, bad) == pytest.approx(counted)


@pytest.mark.parametrize(
    ("scores", "numbers_places"),
    [
        ([3, 2, 1, 2, 1], True),
        ([3, 1, 1, 3, 1], False),
        ([0.667, 0.333, 0.333, 0.667, 0.333], False),
    ],
)
def test_only_scores_that_count_down_to_1_are_an_order_and_no_more(
    tmp_path: Path, scores: list[float], numbers_places: bool
) -> None:
    table = pd.DataFrame(
        {
            "query": list("aaabb"),
            "document": list("xyzxy"),
            "rank": [1, 2, 3, 1, 2],
            "score": scores,
        }
    ).astype({"query": "category", "document": "category"})
    run = made_run(tmp_path, {"a": [0.5, 0.5]})
    [row] = run.rows
    candidates = CandidateScores(run, row)
    for piece in (table[:3], table[3:]):
        candidates.add(piece)
    assert candidates.order_only is numbers_places


def test_the_overview_marks_what_is_left_out_of_the_verdict_with_its_reason(
    tmp_path: Path,
) -> None:
    content = Made(
        noise={"good": 0.3, "broken": 0.5},
        datasets=("one", "two"),
        failures={"broken": {f"q{i}": "down" for i in range(30)}},
        skipped={"gone": "no model hub"},
    )
    text = reports.html(made_report(tmp_path, content))
    overview = text.partition('class="sortable overview"')[2].partition("</table>")[0]
    assert overview.count(">not in the verdict</span>") == 2
    assert "30 of 40 queries failed" in overview
    assert 'title="skipped: no model hub">skipped</span>' in overview
