"""A machine without a GPU, or with one that cannot be used: one line, and the CPU."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers.tiny_study import CHANGES, TRAIN, environment, stage_command, write_arrays, write_params

# In a mount namespace of its own, so that nobody else sees the GPU that is not there. /proc/driver is what the kernel
# module of the driver makes; TensorFlow then finds no library that could use it.
WITH_DRIVER = """
mount -t tmpfs convnet-test /proc/driver
mkdir -p /proc/driver/nvidia/gpus/0000:01:00.0
echo 'Model: 		 NVIDIA H200' > /proc/driver/nvidia/gpus/0000:01:00.0/information
exec "$@"
"""
CONFIGURE = """
from convnet.backend.device import configure_device
facts = configure_device(threads=1, precision="float32")
import keras
keras.ops.convert_to_numpy(keras.ops.matmul([[1.0]], [[2.0]]))
print(facts.kind)
"""


LINE = "the NVIDIA GPU cannot be used (driver, CUDA or the extra [gpu]); using the CPU"


@pytest.fixture
def inside() -> list[str]:
    """The beginning of a command line that runs the rest where there is such a driver."""
    words = ["unshare", "--mount", "sh", "-ec", WITH_DRIVER, "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root to show a driver that is not there")
    return words


def test_gpu_without_working_cuda_is_one_line_and_the_cpu(inside: list[str]) -> None:
    broken = environment() | {"CUDA_VISIBLE_DEVICES": "-1"}  # on a machine with a GPU: it is broken for TensorFlow
    broken.pop("TF_CPP_MIN_LOG_LEVEL")  # the program itself must keep TensorFlow quiet
    done = subprocess.run(
        [*inside, sys.executable, "-c", CONFIGURE], env=broken, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["cpu"]
    assert done.stderr.splitlines() == [LINE]


@pytest.mark.slow
def test_gpu_without_working_cuda_is_one_line_for_all_processes_of_a_run(inside: list[str], tmp_path: Path) -> None:
    said = _train(tmp_path, inside, processes=2)
    assert said.count(LINE) == 1
    assert len(said) == 3  # and one for each job


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_machine_without_gpu_is_one_line_for_all_jobs_of_a_run(tmp_path: Path, processes: int) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("about a machine without a GPU")
    said = _train(tmp_path, [], processes)
    assert said.count("no GPU was found: training on the CPU") == 1
    assert len(said) == 3


def _train(folder: Path, inside: Sequence[str], processes: int) -> list[str]:
    """Train two seeds by the stage; return what it says, progress left out."""
    write_params(folder, CHANGES | {"run.pixel_variants": ["baseline"], "engine.parallel_jobs": processes})
    write_arrays(folder / "arrays")
    stage = stage_command(*TRAIN)
    done = subprocess.run(
        [*inside, sys.executable, *stage],
        cwd=folder, env=environment() | {"CUDA_VISIBLE_DEVICES": "-1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if "jobs at work" not in line and not line.startswith("train ")]
