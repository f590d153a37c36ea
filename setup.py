"""Packages are found; `suites/` and `docs/` are at the top level and are carried in the wheel as
bench/suites and bench/docs.
"""

import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#)([^)]*)\)")
"""A link to a file of the repository, which a package index does not have."""


def description() -> str:
    """Return the README as a package index shows it: links to files of the repository lead to the
    address `Source` of the project's urls, and are plain text as long as none is given.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    source = project.get("urls", {}).get("Source", "").rstrip("/")
    link = rf"[\1]({source}/blob/v{project['version']}/\2)" if source else r"\1"
    return LINK.sub(link, (ROOT / "README.md").read_text(encoding="utf-8"))


setup(
    packages=[*find_packages(include=["bench", "bench.*"]), "bench.docs", "bench.suites"],
    package_dir={"bench": "bench", "bench.docs": "docs", "bench.suites": "suites"},
    long_description=description(),
    long_description_content_type="text/markdown",
)
