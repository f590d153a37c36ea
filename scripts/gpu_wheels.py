"""Packages for a machine without a network: wheels collected on another one, and unpacked there
where they are missing.

A wheel is a zip archive, so that neither pip nor a right to install is needed to use one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

MEASURE = ("pydantic", "PyYAML", "numpy", "psutil", "transformers", "nvidia-ml-py")
"""What the measuring needs beside torch."""
TESTS = ("rerank-bench", "sentence-transformers", "peft", "pytest", "hypothesis")
"""What the tests and the comparison with `predict` need as well."""
WITHOUT = re.compile(r"(torch|triton|cuda|nvidia-(?!ml-py)).*", re.IGNORECASE)
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
CARRIED_MIB = 64
"""More than this is hard to carry to some machines."""


def normal(name: str) -> str:
    """Return a distribution's name as package indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def unpack(folder: Path, site: Path) -> list[str]:
    """Unpack the wheels in a folder whose packages are not installed here into `site`; return their
    names.
    """
    names = []
    for wheel in sorted(folder.glob("*.whl")):
        name = normal(wheel.name.split("-")[0])
        if is_installed(name) or not fits(wheel.name, sys.version_info[:2]):
            continue
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        for data in site.glob("*.data"):
            for kind in ("purelib", "platlib"):
                for path in (data / kind).glob("*"):
                    path.rename(site / path.name)
        names.append(name)
    return names


def fits(wheel: str, version: tuple[int, int]) -> bool:
    """Whether a wheel of this file name runs on this version of Python."""
    pythons, abi = wheel.removesuffix(".whl").split("-")[-3:-1]
    for tag in pythons.split("."):
        if tag in ("py3", f"cp{version[0]}{version[1]}"):
            return True
        if tag.startswith("cp3") and "abi3" in abi and int(tag[3:]) <= version[1]:
            return True
    return False


def is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def collect(folder: Path, python: str, with_tests: bool) -> int:
    """Download the wheels into a folder, in the versions that are installed here; return the exit
    status.
    """
    try:
        names = needed((*MEASURE, *(TESTS if with_tests else ())))
    except metadata.PackageNotFoundError as error:
        print(
            f"{error.name} is not installed here: run this where rerank-bench is installed (make "
            "test does it)",
            file=sys.stderr,
        )
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
    ]
    command += ["--dest", str(folder), "--python-version", python, "--implementation", "cp"]
    for platform in PLATFORMS:
        command += ["--platform", f"{platform}_x86_64"]
    missing = [
        line
        for line in names
        if subprocess.run([*command, line], capture_output=True, text=True).returncode != 0
    ]
    size = sum(path.stat().st_size for path in folder.glob("*.whl")) / 2**20
    print(
        f"{folder}: {len(names) - len(missing)} wheels for Python {python} on Linux x86-64, "
        f"{size:.0f} MiB"
    )
    if missing:
        print(f"no wheel was found of {', '.join(missing)}", file=sys.stderr)
    if size > CARRIED_MIB:
        print(
            f"more than {CARRIED_MIB} MiB: delete those of packages that the other machine has "
            "(`pip list` there)"
        )
    return 1 if missing else 0


def needed(roots: tuple[str, ...]) -> list[str]:
    """Return NAME==VERSION of the packages and all that they need, torch and its parts left out."""
    from packaging.requirements import Requirement

    versions: dict[str, str] = {}
    waiting = [normal(root) for root in roots]
    while waiting:
        name = waiting.pop()
        if name in versions or WITHOUT.fullmatch(name):
            continue
        versions[name] = metadata.version(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(normal(requirement.name))
    versions.pop("rerank-bench", None)
    return [f"{name}=={version.partition('+')[0]}" for name, version in sorted(versions.items())]
