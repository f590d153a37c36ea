"""Assembles the page: a template, one style sheet, one script, the drill-down's data; no file and
no address but itself.

The content security policy names the style sheet and the script by their hashes and forbids
everything else, so that text from a collection could run nothing even if it slipped past the
escaping.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

from bench.core.counting import counted

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


def page(**content: Any) -> str:
    """The whole HTML text. `content` is what the template names; strings are escaped, charts must
    be marked as markup.
    """
    style, script = asset("report.css"), asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    from markupsafe import Markup

    html: str = _template().render(
        policy=policy, style=Markup(style), script=Markup(script), **content
    )
    return html.translate(CONTROLS)


def for_script(data: Any) -> Any:
    """JSON that stands inside a script element and cannot end it."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter, written in IN_SCRIPT.items():
        text = text.replace(letter, written)
    return Markup(text)


def asset(name: str) -> str:
    return (
        resources.files("bench.reports.html").joinpath("assets", name).read_text(encoding="utf-8")
    )


@cache
def _template() -> Any:
    from jinja2 import DictLoader, Environment, StrictUndefined

    names = ("report.html", "macros.html")
    environment = Environment(
        loader=DictLoader({name: asset(name) for name in names}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["counted"] = counted
    return environment.get_template("report.html")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
