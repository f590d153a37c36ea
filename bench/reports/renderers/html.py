"""A document as one HTML file that opens from disk: a template, one style sheet, one script, the
drill-down's data; no address but itself.

The content security policy names the style sheet and the script by their hashes and forbids
everything else, so that text from a collection could run nothing even if it slipped past the
escaping, which every template does by itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from markupsafe import Markup

from bench.core.version import version
from bench.reports.document import Document, Drill, Section
from bench.reports.drill import PageData

CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"} | {
    0x7F: "␡"
}
"""Control characters as pictures: HTML has no way to carry them."""
IN_SCRIPT = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
    "\x7f": "\\u007f",
}
BEFORE_UNIT = re.compile(r"(?<=\d) (?=%|ms\b)")
NO_DRILL: PageData = {"groups": [], "docs": [], "cut": 0, "texts": False}


def render(document: Document) -> str:
    """Return the whole page."""
    style, script = asset("report.css"), asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    page: str = (
        _templates()
        .get_template("page.html")
        .render(
            policy=policy,
            style=Markup(style),
            script=Markup(script),
            version=version(),
            document=document,
            data=for_script(_drill_data(document.sections)),
        )
    )
    return page.translate(CONTROLS)


def fragment(document: Document) -> str:
    """Return a document's sections as HTML without a page, for a notebook."""
    blocks = _templates().get_template("blocks.html").module.blocks
    parts = [
        Markup("<p><b>{}</b></p>{}").format(section.title, blocks(section.blocks))
        for section in document.sections
    ]
    return str(Markup("").join(parts)).translate(CONTROLS)


def for_script(data: Any) -> Markup:
    """Return JSON that is inside a script element and cannot end it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter, written in IN_SCRIPT.items():
        text = text.replace(letter, written)
    return Markup(text)


def asset(name: str) -> str:
    folder = resources.files("bench.reports.renderers").joinpath("assets")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _drill_data(sections: Sequence[Section]) -> PageData:
    for section in sections:
        for block in section.blocks:
            if type(block) is Drill:
                return block.data
    return NO_DRILL


def _unbroken(prose: str) -> str:
    """Return prose in which no line ends between a number and its % or ms."""
    return BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", prose)


@cache
def _templates() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["kind"] = lambda block: type(block).__name__
    environment.filters["to_json"] = json.dumps
    environment.filters["unbroken"] = _unbroken
    return environment


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
