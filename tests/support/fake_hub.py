"""A real HTTP server that stands in for the model hub: it serves a folder as one model at one
commit, or refuses as the hub refuses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.http_server import Handler, listening

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """`models` maps ids to folders; `refuse` maps the beginning of a path to a status and the hub's
    error code.
    """

    def __init__(self) -> None:
        self.models: dict[str, Path] = {}
        self.refuse: dict[str, tuple[int, str]] = {}
        self.paths: list[str] = []
        self.url = ""


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@contextmanager
def serve() -> Iterator[FakeHub]:
    """The hub, on a free port of this machine."""
    hub = FakeHub()

    class Hub(Handler):
        def do_GET(self) -> None:  # noqa: N802
            hub.paths.append(self.path)
            for beginning, (status, code) in hub.refuse.items():
                if self.path.startswith(beginning):
                    return self.send(status, b"{}", {"X-Error-Code": code})
            if self.path.startswith("/api/models/"):
                return self._info(self.path.removeprefix("/api/models/").partition("?")[0])
            return self._file(self.path.strip("/").partition("?")[0])

        do_HEAD = do_GET  # noqa: N815

        def _info(self, rest: str) -> None:
            name = "/".join(rest.split("/")[:2])
            folder = hub.models.get(name)
            if folder is None:
                return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            if "/tree/" in rest:
                tree = [
                    {
                        "type": "file",
                        "path": path,
                        "size": (folder / path).stat().st_size,
                        "oid": "0" * 40,
                    }
                    for path in _files(folder)
                ]
                return self.send(200, json.dumps(tree).encode(), {})
            if rest.endswith(("/revision/main", "/revision/" + COMMIT)) or rest == name:
                files = [{"rfilename": path} for path in _files(folder)]
                return self.send(
                    200, json.dumps({"id": name, "sha": COMMIT, "siblings": files}).encode(), {}
                )
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

        def _file(self, path: str) -> None:
            name, _, rest = path.partition("/resolve/")
            file = hub.models.get(name, Path("/nowhere")) / rest.partition("/")[2]
            if name in hub.models and file.is_file():
                data = file.read_bytes()
                return self.send(
                    200,
                    data,
                    {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT},
                )
            return self.send(
                404,
                b"",
                {
                    "X-Error-Code": "EntryNotFound" if name in hub.models else "RepoNotFound",
                    "X-Repo-Commit": COMMIT,
                },
            )

    with listening(Hub) as hub.url:
        yield hub
