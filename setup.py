"""Packages are found; `suites/` is at the top level and is carried in the wheel as bench/suites."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["bench", "bench.*"]), "bench.suites"],
    package_dir={"bench": "bench", "bench.suites": "suites"},
)
