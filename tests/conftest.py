"""What every test shares: a quiet environment, real data where it is given, and a copy of the project to run dvc in."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.clones import Clone
from helpers.clones import clone_project as copy_project

# Before any test imports TensorFlow or matplotlib: both read these once. The second as `configure_device` has it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ["MPLBACKEND"] = "agg"
os.environ.pop("CONVNET_JOBS", None)  # each test has a job store of its own

# The same examples in every run, and no example fails for being slow.
settings.register_profile("convnet", deadline=None, derandomize=True, database=None)
settings.load_profile("convnet")


@pytest.fixture(scope="session")
def convnet_data() -> Path:
    """The folder of the official archives."""
    folder = os.environ.get("CONVNET_DATA")
    if not folder:
        pytest.skip("CONVNET_DATA is not set: it names the folder of the official archives")
    return Path(folder)


@pytest.fixture(scope="session")
def clone_project() -> Callable[[Path], Clone]:
    """A function that copies the project into a folder that does not exist yet."""
    return copy_project


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh copy of the project for one test."""
    return copy_project(tmp_path / "clone")
