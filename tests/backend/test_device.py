"""The device: configured in fresh processes, since a backend can be configured only once."""

import importlib.metadata
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convnet.backend.device import quiet
from convnet.backend.machine import PACKAGES, machine_facts
from convnet.backend.memory import memory_advice, ran_out_of_memory

GPU = Path("/proc/driver/nvidia/gpus").exists()
cpu_only = pytest.mark.skipif(GPU, reason="about a machine without a GPU")


def run_python(program: str, **environment: str) -> tuple[Any, str]:
    """Run a program in a fresh process; its last line of output as JSON, and all of its standard error."""
    unset = {"KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "XLA_FLAGS", "NPROC"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def configured() -> tuple[Any, str]:
    """What one process, configured several times, answers; and its standard error."""
    return run_python("""
        import dataclasses, json
        from convnet.backend.device import configure_device; from convnet.backend.memory import ran_out_of_memory
        facts = configure_device(threads=2, precision="mixed_bfloat16")
        import keras, tensorflow as tf
        answer = {
            "facts": dataclasses.asdict(facts),
            "policy": keras.config.dtype_policy().name,
            "threads": [
                tf.config.threading.get_intra_op_parallelism_threads(),
                tf.config.threading.get_inter_op_parallelism_threads(),
            ],
            "sum": float(tf.reduce_sum(tf.ones(5))),
            "auto": configure_device(threads=2, precision="auto").precision,
            "auto_policy": keras.config.dtype_policy().name,
        }
        try:
            configure_device(threads=1, precision="float32")
        except RuntimeError as error:
            answer["other threads"] = str(error)
        try:
            tf.ones((1 << 22, 1 << 22)) + 1.0  # 64 TiB
        except Exception as error:
            answer["memory"] = [type(error).__name__, ran_out_of_memory(error)]
        print(json.dumps(answer))
    """)


@cpu_only
def test_configuring_sets_threads_and_precision(configured: tuple[Any, str]) -> None:
    answer, _ = configured
    assert answer["threads"] == [2, 1]
    assert answer["policy"] == answer["facts"]["precision"] == "mixed_bfloat16"
    assert answer["facts"]["kind"] == "cpu"
    assert answer["facts"]["threads"] == 2
    assert answer["facts"]["name"] == machine_facts()["processor"]
    assert answer["facts"]["versions"]["keras"] == importlib.metadata.version("keras")
    assert answer["sum"] == 5.0


@cpu_only
def test_a_machine_without_gpu_is_configured_without_a_word(configured: tuple[Any, str]) -> None:
    _, errors = configured
    assert errors == ""


@cpu_only
def test_auto_precision_follows_the_instructions_of_the_processor(configured: tuple[Any, str]) -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("no /proc/cpuinfo")
    expected = "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(cpuinfo.read_text().split()) else "float32"
    answer, _ = configured
    assert answer["auto"] == answer["auto_policy"] == expected


def test_configuring_anew_with_other_threads_is_refused(configured: tuple[Any, str]) -> None:
    answer, _ = configured
    assert "other than 1 threads" in answer["other threads"]


def test_a_real_tensorflow_allocation_failure_is_recognised(configured: tuple[Any, str]) -> None:
    answer, _ = configured
    assert answer["memory"] == ["ResourceExhaustedError", True]


def test_training_twice_gives_equal_bits() -> None:
    # Also: one operation at a time does not starve the generator that feeds fit.
    program = """
        import hashlib, json
        from convnet.backend.device import configure_device
        configure_device(threads=2, precision="float32")
        import keras, numpy as np
        class Batches(keras.utils.PyDataset):
            def __len__(self): return 3
            def __getitem__(self, i):
                rng = np.random.default_rng(i)
                return rng.normal(size=(8, 20, 20, 3)).astype("float32"), rng.integers(0, 2, 8)
        def digest():
            keras.utils.set_random_seed(1)
            model = keras.Sequential([
                keras.Input((20, 20, 3)), keras.layers.Conv2D(8, 3), keras.layers.MaxPooling2D(2),
                keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])
            model.compile("rmsprop", "binary_crossentropy")
            model.fit(Batches(), epochs=2, verbose=0)
            return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
        print(json.dumps([digest(), digest()]))
    """
    (one, other), _ = run_python(program)
    assert one == other


def test_importing_the_module_and_describing_the_machine_load_no_keras() -> None:
    program = """
        import json, sys
        from convnet.backend.machine import machine_facts
        machine_facts()
        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
    """
    loaded, _ = run_python(program)
    assert {"keras", "tensorflow", "jax"}.isdisjoint(loaded)


def test_jax_backend_is_configured_without_tensorflow() -> None:
    pytest.importorskip("jax")
    program = """
        import dataclasses, json, sys
        from convnet.backend.device import configure_device; from convnet.backend.xla import fuse
        facts = configure_device(threads=2, precision="mixed_bfloat16")
        assert fuse(len) is len
        print(json.dumps([dataclasses.asdict(facts), "tensorflow" in sys.modules]))
    """
    (facts, loaded), _ = run_python(program, KERAS_BACKEND="jax")
    assert not loaded
    assert facts["precision"] == "mixed_bfloat16"
    assert facts["versions"]["jax"] == importlib.metadata.version("jax")


def test_a_backend_that_cannot_be_imported_is_reported_in_full(tmp_path: Path) -> None:
    broken = tmp_path / "tensorflow"
    broken.mkdir()
    (broken / "__init__.py").write_text("import os\nos.write(2, b'library too old')\nraise ImportError('broken')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", "from convnet.backend.device import quiet; quiet()"],
        env=os.environ | {"PYTHONPATH": path, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "library too old" in done.stderr
    assert "ImportError: broken" in done.stderr


def test_quiet_gives_standard_error_back(capfd: pytest.CaptureFixture[str]) -> None:
    quiet()
    os.write(2, b"heard")
    assert "heard" in capfd.readouterr().err


def test_quiet_leaves_out_what_keras_does_not_need_here_and_others_still_find_it() -> None:
    loaded, _ = run_python(
        """
        import json, sys
        from convnet.backend.device import NOT_FOR_KERAS, quiet

        quiet()
        import keras
        before = [name for name in NOT_FOR_KERAS if name in sys.modules]
        import matplotlib.pyplot, pandas, sklearn
        print(json.dumps([before, sklearn.__name__, keras.Sequential.__name__]))
        """
    )
    assert loaded == [[], "sklearn", "Sequential"]


def test_machine_facts_match_the_machine() -> None:
    facts = machine_facts()
    assert facts["numpy"] == np.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert 1 <= facts["cores"] <= (os.cpu_count() or 1)
    assert facts["processor"]
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        kibibytes = int(meminfo.read_text().split()[1])
        assert facts["memory_gib"] == pytest.approx(kibibytes / 2**20, abs=0.06)
    assert json.loads(json.dumps(facts)) == facts
    assert {"keras", "tensorflow"} <= facts.keys() & set(PACKAGES)


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("failed to allocate memory"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 68719476736 bytes."),
        RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ],
)
def test_out_of_memory_is_recognised(error: Exception) -> None:
    assert ran_out_of_memory(error)


def test_numpy_allocation_failure_is_recognised() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty((1 << 50,))
    assert ran_out_of_memory(caught.value)


def test_advice_on_memory_names_half_the_batch_or_smaller_images() -> None:
    assert memory_advice(21) == "set batch_size to 10"
    assert memory_advice(2) == "set batch_size to 1"
    assert memory_advice(1) == "set a smaller image_size"
    assert memory_advice(None) == "set a smaller image_size, or close other programs"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes do not match"),
        ResourceExhaustedError("model.keras; No space left on device"),
        OSError(28, "No space left on device"),
    ],
)
def test_other_errors_are_not_of_memory(error: Exception) -> None:
    assert not ran_out_of_memory(error)
