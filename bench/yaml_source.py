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
        """Raises SuiteError where the text is not YAML, or a mapping holds a key twice."""
        self.file = file
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_repeated_keys(root, file)
            self.data: Any = yaml.safe_load(text)
            self._lines = dict(_lines(root))
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


def _refuse_repeated_keys(root: yaml.Node | None, file: str) -> None:
    """Raise SuiteError for a key that a mapping holds twice: the loader would keep the last value and drop the first without a word, as
    where two branches that add the same key are merged."""
    nodes = [root] if root is not None else []
    visited: set[int] = set()
    while nodes:
        node = nodes.pop()
        if id(node) in visited:  # an alias
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            _refuse_repeats(node, file)
            nodes += [child for pair in node.value for child in pair]


def _refuse_repeats(mapping: yaml.MappingNode, file: str) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line, name = key.start_mark.line + 1, (key.tag, key.value)
        if name in lines:
            raise SuiteError(f"{file}:{line}: {key.value}: this key is in line {lines[name]} already: keep one of the two")
        lines[name] = line


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
