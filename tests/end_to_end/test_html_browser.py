"""report.html in a real Chromium: opens from disk without a word in the console, sorts, filters,
drills down, is read without scripts.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import reports
from bench.contract.trial import Trial, TrialStatus
from bench.records.run import Run
from tests.support.made_reports import Made, made_report

HOSTILE = (
    "</script><script>alert(1)</script><img src=x "
    "onerror=alert(2)>\"'`&amp;\u2028\u202e\x07{{7*7}}${alert(3)}"
)
CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium here: none of chromium, chromium-browser, google-chrome is on the path",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def page(browser: Any) -> Any:
    """The one page that reports are opened in, one after another: each page of its own would be a
    few processes.
    """
    return browser.new_page()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = Made(
        noise={"alpha": 1.0, "beta": 0.3, "gamma": 4.0},
        devices={"alpha": "cpu cuda", "beta": "cpu cuda"},
        skipped={"gone": "no model hub"},
        queries=80,
    )
    return written(tmp_path_factory.mktemp("made"), content)


def written(folder: Path, made: Made) -> Path:
    run = made_report(folder, made)
    path = run.folder / "report.html"
    path.write_bytes(reports.html(run).encode("utf-8", "replace"))
    return path


class Opened:
    """A report opened from disk, everything that its console or a dialog said, and every address
    that it asked for.
    """

    def __init__(
        self, page: Any, path: Path, *, width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        self._listeners: dict[str, Any] = {
            "console": lambda message: self.said.append(message.text),
            "pageerror": lambda error: self.said.append(str(error)),
            "dialog": self._dismiss,
            "request": lambda request: self.asked.append(request.url),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())

    def _dismiss(self, dialog: Any) -> None:
        self.said.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def close(self) -> None:
        """Hear no more of the page, which the next report is opened in."""
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)


@pytest.fixture
def opened(page: Any, report: Path) -> Iterator[Opened]:
    found = Opened(page, report)
    yield found
    found.close()
    assert found.said == []
    assert [url for url in found.asked if not url.startswith(("file:", "data:"))] == []


def column(page: Any, index: int, table: str = "table.main") -> list[str]:
    return [
        row.locator("th, td").nth(index).inner_text().split("\n")[0]
        for row in page.locator(f"{table} >> tbody >> nth=0 >> tr").all()
    ]


def test_columns_sort_both_ways_and_skipped_rows_stay_last(opened: Opened) -> None:
    page = opened.page
    heads = page.locator("table.main thead th")
    head = heads.filter(has_text="nDCG@10")
    head.get_by_role("button").click()
    falling = [float(text) for text in column(page, 1)]
    assert falling == sorted(falling, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").click()
    assert [float(text) for text in column(page, 1)] == sorted(falling)
    assert head.get_attribute("aria-sort") == "ascending"
    speed = [name.split("\n")[0] for name in heads.all_inner_texts()].index("p50 ms")
    heads.nth(speed).get_by_role("button").click()
    times = column(page, speed)
    assert times[-2:] == ["–", "–"], "rows without a value stay last"
    assert [float(text) for text in times[:-2]] == sorted(float(text) for text in times[:-2])
    assert page.locator("table.main tbody").last.inner_text().startswith("gone")


def test_the_device_filter_hides_points_and_front(opened: Opened) -> None:
    figure = opened.page.locator(".filterable").first
    shown = figure.locator("svg.wide .point:visible")
    assert shown.count() == 5
    figure.get_by_role("checkbox", name="cuda").uncheck()
    assert shown.count() == 3
    assert figure.locator("svg.wide polyline.front:visible").count() == 1
    figure.get_by_role("checkbox", name="cuda").check()
    assert shown.count() == 5


def test_a_point_tells_its_numbers_to_mouse_and_keyboard(opened: Opened) -> None:
    page = opened.page
    point = page.locator("svg.wide .point").first
    point.locator(".target").hover()
    tip = page.locator("#tip")
    assert "alpha (cpu)" in tip.inner_text()
    assert "ms" in tip.inner_text()
    page.mouse.move(2, 2)
    point.focus()
    assert tip.is_visible()
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_the_drill_down_searches_orders_and_shows_both_rankings(opened: Opened) -> None:
    page = opened.page
    drill = page.locator("#drill")
    drill.get_by_label("reranker").select_option("gamma (cpu)")
    deltas = drill.locator(".picker .delta")
    assert deltas.first.inner_text().startswith("▲")
    drill.get_by_label("order").select_option("biggest loss first")
    assert deltas.first.inner_text().startswith("▼")
    assert drill.locator(".picker button").count() == 61
    drill.get_by_text("show 20 more").click()
    assert drill.locator(".picker button").count() == 80
    drill.get_by_label("search").fill("q17")
    assert drill.get_by_role("status").inner_text() == "1 of 80 queries match"
    assert drill.locator(".ranked li").count() == 20
    assert "Texts are cut to 600 characters." in drill.inner_text()
    assert "query q17" in drill.locator(".summary").inner_text()
    first, after = (
        side.locator(".doc").all_inner_texts() for side in drill.locator(".ranked").all()
    )
    moves = drill.locator(".ranked").last.locator(".move").all_inner_texts()
    for rank, (document, move) in enumerate(zip(after, moves, strict=True), 1):
        if document in first:
            steps = first.index(document) + 1 - rank
            assert move == ("=" if not steps else f"{'↑ +' if steps > 0 else '↓ -'}{abs(steps)}")
    drill.get_by_label("search").fill("no such words")
    assert "no query matches" in drill.locator(".picker").inner_text()


def test_a_run_without_texts_says_so_and_shows_ids(page: Any, tmp_path: Path) -> None:
    opened = Opened(page, written(tmp_path, Made(noise={"a": 1.0}, queries=4, with_texts=False)))
    drill = opened.page.locator("#drill")
    assert "keeps no texts" in drill.inner_text()
    assert drill.locator(".detail h3").inner_text() in ("q0", "q1", "q2", "q3")
    assert drill.locator(".ranked .text").count() == 0
    assert opened.said == []
    opened.close()


def test_on_a_phone_one_ranking_shows_at_a_time(page: Any, report: Path) -> None:
    opened = Opened(page, report, width=390, height=844)
    drill = opened.page.locator("#drill")
    sides = drill.locator(".ranked")
    assert [side.is_visible() for side in sides.all()] == [False, True]
    drill.get_by_role("button", name="first stage").click()
    assert [side.is_visible() for side in sides.all()] == [True, False]
    assert drill.get_by_role("button", name="first stage").get_attribute("aria-pressed") == "true"
    drill.locator(".picker button").nth(2).click()
    assert [side.is_visible() for side in sides.all()] == [True, False], "the choice stays"
    assert opened.said == []
    opened.close()


def test_the_keyboard_reaches_everything(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#drill .picker button").first.focus()
    title = page.locator("#drill .detail h3").inner_text()
    page.keyboard.press("ArrowDown")
    assert page.locator("#drill .detail h3").inner_text() != title
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    assert page.locator("#drill .picker button[tabindex='0']").count() == 1
    head = page.locator("table.main thead button").nth(1)
    head.focus()
    page.keyboard.press("Enter")
    assert page.locator("table.main thead th").nth(1).get_attribute("aria-sort") == "descending"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_without_scripts_tables_and_charts_stand(browser: Any, report: Path) -> None:
    page = browser.new_page(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    assert page.locator("table.main tbody tr").count() == 8
    assert page.locator("svg.wide .point:visible").count() > 5
    assert page.get_by_text("needs JavaScript").is_visible()
    assert not page.locator("#drill").is_visible()
    page.get_by_text("Biggest wins and losses").click()
    assert page.locator("table.moved tbody tr").count() > 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page: Any, report: Path, width: int, scheme: str) -> None:
    opened = Opened(page, report, width=width, height=844, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    assert page.locator(f"svg.{'narrow' if width == 390 else 'wide'}").first.is_visible()
    assert opened.said == []
    opened.close()


def test_text_from_a_collection_runs_nothing(page: Any, tmp_path: Path) -> None:
    """Script tags, quotes, control characters and templates in every field that a run takes from
    outside.
    """
    id_safe = "".join(HOSTILE.split())
    content = Made(
        noise={HOSTILE: 0.5, "other": 1.0},
        datasets=(HOSTILE, "plain"),
        suite=HOSTILE,
        description=HOSTILE,
        query_text=HOSTILE,
        doc_prefix=id_safe,
        doc_text=HOSTILE * 5,
        notes=[HOSTILE],
        skipped={f"gone {HOSTILE}": HOSTILE},
        failures={HOSTILE: {"q2": HOSTILE}},
        queries=8,
    )
    opened = Opened(page, written(tmp_path, content))
    drill = page.locator("#drill")
    for label in drill.get_by_label("reranker").locator("option").all_inner_texts():
        drill.get_by_label("reranker").select_option(label=label)
    drill.get_by_label("search").fill("q2")
    page.locator("svg.wide .point:visible").first.focus()
    assert "alert(1)" in page.locator("#tip").inner_text()
    assert "alert(1)" in drill.locator(".detail h3").inner_text()
    assert "alert(1)" in drill.locator(".ranked .text").first.inner_text()
    assert "alert(1)" in drill.locator(".ranked .doc").first.inner_text()
    assert "{{7*7}}" in page.locator("h1").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert opened.said == []
    opened.close()


OVERPRINTED = """() => {
  const found = [];
  for (const chart of document.querySelectorAll("svg.chart")) {
    if (!chart.getClientRects().length) continue;
    const texts = [...chart.querySelectorAll("text")];
    const words = texts.filter((text) => text.getClientRects().length);
    const boxes = words.map((text) => text.getBoundingClientRect());
    const frame = chart.getBoundingClientRect();
    boxes.forEach((one, i) => {
      const word = words[i].textContent;
      const inside = one.left >= frame.left - 1 && one.right <= frame.right + 1;
      if (!inside) found.push(`${word} is cut off`);
      boxes.slice(i + 1).forEach((other, j) => {
        const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        const below = words[i + 1 + j].textContent;
        if (width > 1 && height > 4) found.push(`${word} on ${below}`);
      });
    });
  }
  return found;
}"""
"""Labels of the charts that stand on one another, or outside of their chart."""


@pytest.mark.parametrize(
    "made",
    [
        Made(
            noise={f"reranker-number-{i}-of-a-long-name": 0.5 + 0.01 * i for i in range(16)},
            queries=30,
        ),
        Made(noise={"a": 1.0, "b": 1.0}, queries=1),
        Made(noise={"a": 0.001, "b": 0.001, "c": 2.5}, first_stage_noise=0.001, queries=30),
        Made(noise={"a": 0.001}, first_stage_noise=0.001, queries=30),
        Made(
            noise={f"reranker-{i}": 0.3 + 1e-6 * i for i in range(20)},
            slower=1e-6,
            queries=30,
        ),
        Made(
            noise={"日本語リランカー" * 2: 0.5, "另一個重排器模型": 0.51, "other": 0.52}, queries=30
        ),
    ],
    ids=[
        "many rows",
        "one query",
        "no room to gain",
        "no room to gain, one row",
        "near-identical points",
        "wide letters",
    ],
)
def test_labels_do_not_overprint(page: Any, tmp_path: Path, made: Made) -> None:
    path = written(tmp_path, made)
    for width in (390, 1280):
        opened = Opened(page, path, width=width, height=844)
        assert page.locator("svg.chart text:visible").count() > 10
        assert page.evaluate(OVERPRINTED) == [], width
        assert opened.said == []
        opened.close()


ON_POINTS = """() => {
  const found = [];
  for (const chart of document.querySelectorAll("svg.chart")) {
    if (!chart.getClientRects().length) continue;
    const marks = [...chart.querySelectorAll(".mark")].map((one) => one.getBoundingClientRect());
    for (const text of chart.querySelectorAll("text.reference")) {
      const box = text.getBoundingClientRect();
      const on = (mark) =>
        mark.left < box.right && box.left < mark.right &&
        mark.top < box.bottom - 2 && box.top + 2 < mark.bottom;
      if (marks.some(on)) found.push(text.textContent);
    }
  }
  return found;
}"""
"""Names of the first stage and the oracle that are on a point."""


def test_where_there_is_no_room_to_gain_references_are_named_beyond_the_points(
    page: Any, tmp_path: Path
) -> None:
    content = Made(noise={"a": 0.001, "b": 0.001, "c": 2.5}, first_stage_noise=0.001, queries=30)
    path = written(tmp_path, content)
    for width in (390, 1280):
        opened = Opened(page, path, width=width, height=844)
        assert page.evaluate(ON_POINTS) == [], width
        headings = page.locator("svg.chart text.reference:visible").all_text_contents()
        assert len(headings) == 2
        assert all("first-stage" in text and "oracle" in text for text in headings)
        opened.close()


def test_endless_words_and_odd_letters_widen_nothing(page: Any, tmp_path: Path) -> None:
    odd = "x" * 100_000 + "\0\x1b[31m\u202eright to left\u202c\u2066 \ufeff" + "ש" * 300
    content = Made(
        noise={"a" * 120: 1.0, "b": 1.0},
        queries=3,
        query_text=odd,
        doc_text=odd,
        description=odd,
        notes=[odd[-400:]],
        skipped={"gone": "y" * 400},
    )
    path = written(tmp_path, content)
    for width in (390, 1280):
        opened = Opened(page, path, width=width, height=844)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#drill .ranked .text").count() > 0
        assert page.evaluate(OVERPRINTED) == []
        assert opened.said == []
        opened.close()


def test_a_run_of_which_nothing_is_done_still_has_a_page(page: Any, tmp_path: Path) -> None:
    trial = Trial(id="t", dataset="d", first_stage="bm25", reranker="gone", device="-", depth=10)
    info = made_report(tmp_path, Made(noise={"a": 1.0}, queries=2)).info
    info = info.model_copy(
        update={"trials": [TrialStatus(trial=trial, status="failed", reason="no memory")]}
    )
    (tmp_path / "run" / "run.json").write_text(info.model_dump_json())
    run = Run(tmp_path / "run")
    path = run.folder / "report.html"
    path.write_bytes(reports.html(run).encode())
    opened = Opened(page, path)
    assert "no memory" in page.locator("body").inner_text()
    assert opened.said == []
    assert "failed: no memory" in reports.markdown(run)
    opened.close()
