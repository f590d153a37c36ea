"""Where in a YAML file a problem is, and what would mend it: pydantic's errors in the words of the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from bench.errors import SuiteError
from bench.options import problem_text

Keys = tuple[str | int, ...]


class Source:
    """A YAML text with the line of every key: parses it, and places problems in it."""

    def __init__(self, text: str, file: str) -> None:
        """Raises SuiteError where the text is not YAML."""
        self.file = file
        try:
            self.data: Any = yaml.safe_load(text)
            self._lines = dict(_lines(yaml.compose(text, Loader=yaml.SafeLoader)))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{file}:{mark.line + 1}" if mark else file
            raise SuiteError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from error

    def problem(self, keys: Keys, message: object) -> SuiteError:
        """An error that names file, line and key."""
        key = ".".join(str(step) for step in keys)
        line = next((self._lines[keys[:cut]] for cut in range(len(keys), -1, -1) if keys[:cut] in self._lines), 1)
        return SuiteError(f"{self.file}:{line}: {key}: {message}" if key else f"{self.file}:{line}: {message}")

    def explain(self, error: ValidationError, model: type[BaseModel], prefix: Keys = ()) -> SuiteError:
        """All of pydantic's problems, a line each."""
        return SuiteError("\n".join(str(self._explain_one(problem, model, prefix)) for problem in error.errors(include_url=False)))

    def _explain_one(self, problem: Any, model: type[BaseModel], prefix: Keys) -> SuiteError:
        return self.problem((*prefix, *problem["loc"]), problem_text(problem, model, with_key=False))


def _lines(node: yaml.Node | None, keys: Keys = ()) -> Iterator[tuple[Keys, int]]:
    """(keys, line from 1) for every node: a value in a mapping stands at the line of its key."""
    if node is None:
        return
    yield keys, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*keys, key.value)
            yield from ((below, key.start_mark.line + 1 if below == here else line) for below, line in _lines(value, here))
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _lines(item, (*keys, i))
