"""In a notebook: where Jupyter's parts are here, a kernel runs cells."""

import os

import pytest


def outputs(*cells):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    place = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    nbclient.NotebookClient(book, allow_errors=True, timeout=120,
                            resources={"metadata": {"path": place}}).execute()
    return [cell.outputs for cell in book.cells]


def test_progress_is_a_line_that_changes_and_errors_name_the_cell():
    bar, wrong = outputs("import taper as tp\nfor _ in tp.progress(range(5)):\n    pass",
                         "x = tp.zeros(2, 3)\nx @ tp.zeros(4, 5)")
    assert [o.output_type for o in bar] == ["display_data"]
    assert bar[0].data["text/plain"].startswith("[##############################] 5/5")
    assert wrong[0].evalue.startswith("In[2]:2: tp_matmul: ")
