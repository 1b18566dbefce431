"""The package of this tree; errors are checked, and each test begins with the same chance."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import taper as tp  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    tp.manual_seed(7)
    yield
