"""A YAML file with the line of every key: where in it a problem is, and what would mend it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import ConstructorError

from bench.core.errors import SuiteError, reading_problem
from bench.core.options import Keys, PlaceOf, problem_text, problems_of

LARGEST_TEXT = 2**20
"""Characters of a file that somebody may have written by hand."""
DEEPEST = 50
MOST_VALUES = 50_000
"""Values of a file, those behind an alias counted as often as they are named."""
LARGEST_INTEGER = 2**63 - 1
_BREAKS = re.compile("[\x85\u2028\u2029]")
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
}


class _Loader(yaml.SafeLoader):
    """Plain data alone: what JSON has. A date stays the text that it is written as."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node.

        Raises ConstructorError with the node's line for a value that is not of its type, such as
        `!!int ''`.
        """
        if node.tag not in _PLAIN_TAGS:
            raise ConstructorError(
                None, None, f"the tag '{node.tag}' is not plain data", node.start_mark
            )
        try:
            value = super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(
                None, None, f"'{node.value:.40}' is not of type {kind}", node.start_mark
            ) from error
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise ConstructorError(
                None, None, "a whole number of more than 19 digits", node.start_mark
            )
        return value


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Plain data: a date becomes the text that it is in a file."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Return the node of a text; quoted where a line break of Unicode would come back as a
        space.
        """
        style = '"' if _BREAKS.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_text)


def plain_yaml(data: object, *, sort_keys: bool = True) -> str:
    """Return data as a YAML text that `Source` reads as the same data. Raises yaml.YAMLError for
    what it cannot hold and RecursionError for what is nested too deeply.
    """
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=sort_keys, allow_unicode=True)
    return text


def text_of(path: Path | str) -> str:
    """Return the text of a file, without a byte order mark: of one that is larger than anybody
    writes by hand its beginning, which `Source` refuses. Raises SuiteError where it cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            return file.read(LARGEST_TEXT + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: cannot be read: {reading_problem(error)}") from error


class Source:
    """A YAML text with the line of every key: parses it, and places problems in it."""

    def __init__(self, text: str, file: str) -> None:
        """Raises SuiteError where the text is not YAML, holds a key twice, or is larger than
        anybody writes by hand.
        """
        self.file = file
        if len(text) > LARGEST_TEXT:
            raise SuiteError(
                f"{file}: more than {LARGEST_TEXT:,} characters, which are the limit: is it the "
                "right file?"
            )
        try:
            loader = _Loader(text)
            root = loader.get_single_node()
            _refuse_excess(root, file)
            _refuse_repeated_keys(root, file)
            self._lines = dict(_lines(root))
            self.data: Any = None
            if root is not None:
                self.data = loader.construct_document(root)
        except RecursionError:
            raise SuiteError(
                f"{file}: nested too deeply, where {DEEPEST} levels are the limit"
            ) from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = file
            if mark:
                place = f"{file}:{mark.line + 1}"
            problem = getattr(error, "problem", None) or error
            raise SuiteError(
                f"{place}: not valid YAML: {' '.join(str(problem).split())}"
            ) from error

    def problem(self, keys: Keys, message: object) -> SuiteError:
        """Return an error that names file, line and key."""
        place = f"{self.file}:{self._line_of(keys)}"
        key = ".".join(str(step) for step in keys)
        if key:
            place = f"{place}: {key}"
        return SuiteError(f"{place}: {message}")

    def explain(
        self,
        error: ValidationError,
        model: type[BaseModel],
        prefix: Keys = (),
        place_of: PlaceOf = lambda keys: "",
    ) -> SuiteError:
        """Return an error of all of pydantic's problems, a line each.

        `place_of` says where an unknown key belongs, where that is known.
        """
        lines = []
        for problem in problems_of(error, model):
            text = problem_text(problem, model, with_key=False, place_of=place_of)
            lines.append(str(self.problem((*prefix, *problem["loc"]), text)))
        return SuiteError("\n".join(lines))

    def _line_of(self, keys: Keys) -> int:
        """Return the line of a key; where the file lacks it, that of the nearest one around it."""
        for length in range(len(keys), -1, -1):
            if keys[:length] in self._lines:
                return self._lines[keys[:length]]
        return 1


def _refuse_excess(root: yaml.Node | None, file: str) -> None:
    """Raise SuiteError where aliases make a value part of itself, or nesting and size of what they
    stand for have no sane limit.
    """
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        line = f"{file}:{node.start_mark.line + 1}"
        if id(node) in open_nodes:
            raise SuiteError(f"{line}: an alias makes this value part of itself")
        if depth > DEEPEST:
            raise SuiteError(f"{line}: nested too deeply, where {DEEPEST} levels are the limit")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in _children(node))
            open_nodes.discard(id(node))
        if sizes[id(node)] > MOST_VALUES:
            raise SuiteError(
                f"{line}: more than {MOST_VALUES:,} values, those behind aliases included"
            )
        return sizes[id(node)]

    if root is not None:
        size(root, 1)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _refuse_repeated_keys(root: yaml.Node | None, file: str) -> None:
    """Raise SuiteError for a key that a mapping holds twice: the loader would keep the last value
    and drop the first without a word, as where two branches that add the same key are merged.
    """
    nodes: list[yaml.Node] = []
    if root is not None:
        nodes.append(root)
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
            nodes += _children(node)


def _refuse_repeats(mapping: yaml.MappingNode, file: str) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise SuiteError(
                f"{file}:{key.start_mark.line + 1}: a list or a mapping cannot be a key"
            )
        line = key.start_mark.line + 1
        name = (key.tag, key.value)
        if name in lines:
            raise SuiteError(
                f"{file}:{line}: {key.value}: this key is in line {lines[name]} already: keep "
                "one of the two"
            )
        lines[name] = line


def _lines(node: yaml.Node | None, keys: Keys = ()) -> Iterator[tuple[Keys, int]]:
    """Yield (keys, line from 1) of every node: a value in a mapping has the line of its key."""
    if node is None:
        return
    yield keys, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            own_keys = (*keys, key.value)
            for inner_keys, line in _lines(value, own_keys):
                if inner_keys == own_keys:
                    line = key.start_mark.line + 1
                yield inner_keys, line
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _lines(item, (*keys, i))
