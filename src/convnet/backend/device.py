"""The device of a training: configured before the first tensor.

Importing this module loads neither Keras nor its backend.
"""

import atexit
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from convnet.backend.machine import PACKAGES, _nvidia_model, _processor_field, machine_facts, say_once
from convnet.system.processes import usable_cores

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]

# Processors with these instructions multiply in bfloat16; the others emulate it, slower than float32.
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}
BFLOAT16_COMPUTE_CAPABILITY = (8, 0)  # NVIDIA Ampere
# Keras imports these, where installed, for features that this program does not use: a third of the import's time.
NOT_FOR_KERAS = ("matplotlib", "pandas", "sklearn")


@dataclass(frozen=True)
class DeviceFacts:
    """The device that `configure_device` chose.

    Attributes:
        kind: processor or GPU.
        name: the model of the processor or GPU.
        threads: processor threads of one operation.
        precision: the policy of Keras.
        versions: package -> version, as in `machine_facts`.
    """

    kind: Literal["cpu", "gpu"]
    name: str
    threads: int
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"]
    versions: dict[str, str]


@dataclass(frozen=True)
class _Gpu:
    name: str
    capability: tuple[int, int]


def quiet() -> None:
    """Import Keras and its backend without their start-up messages, before anything else imports them.

    TensorFlow writes some lines past every log level, so standard error goes to a file during the import. If the
    import fails, the file is shown.
    """
    # 3 hides errors too: TensorFlow reports a missing GPU driver as one. Real faults raise Python exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of retracing where a job has other shapes
    if "keras" in sys.modules:
        return
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as aside, _hidden(NOT_FOR_KERAS):
        os.dup2(aside.fileno(), 2)
        try:
            import keras  # noqa: F401
        except BaseException:
            aside.seek(0)
            os.write(standard_error, aside.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)


@contextmanager
def _hidden(packages: Sequence[str]) -> Iterator[None]:
    """Make packages that are not imported yet look as if they were not installed."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: an import of it fails
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def load_keras() -> None:
    """Import Keras and its backend as `configure_device` does, without configuring the device."""
    # Read at the import. The default uses oneDNN only with AVX512 or AMX; with AVX2 it halves a convolution's time too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    quiet()


def configure_device(*, threads: int | None, precision: Precision, deterministic: bool = True) -> DeviceFacts:
    """Make a training repeatable on this machine, and as fast as its arithmetic allows.

    Results repeat for an equal number of threads on the same type of processor or GPU, because both decide the order
    of partial sums.

    Args:
        threads: processor threads of one operation; None: one per core this process may use.
        precision: "auto" is mixed_bfloat16 where the processor or GPU computes in it, or float32.
        deterministic: allow only operations that give equal bits for equal input.

    Raises:
        RuntimeError: the backend has started with another number of threads; call this first.
    """
    load_keras()
    import keras

    threads = threads or usable_cores()
    configure = {"tensorflow": _configure_tensorflow, "jax": _configure_jax}.get(keras.backend.backend())
    gpu = configure(threads, deterministic) if configure else None
    if precision == "auto":
        has_bfloat16 = gpu.capability >= BFLOAT16_COMPUTE_CAPABILITY if gpu else _processor_has_bfloat16()
        precision = "mixed_bfloat16" if has_bfloat16 else "float32"
    keras.config.set_dtype_policy(precision)
    facts = machine_facts()
    return DeviceFacts(
        kind="gpu" if gpu else "cpu",
        name=gpu.name if gpu else facts["processor"],
        threads=threads,
        precision=precision,
        versions={name: facts[name] for name in ("python", *PACKAGES) if name in facts},
    )


def _configure_tensorflow(threads: int, deterministic: bool) -> _Gpu | None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)  # one operation after the other, in a fixed order
    except RuntimeError as error:
        raise RuntimeError(f"TensorFlow already runs with other than {threads} threads; configure it first") from error
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        if _nvidia_model():
            say_once("the NVIDIA GPU cannot be used (driver, CUDA or the extra [gpu]); using the CPU")
        return None
    for gpu in gpus:
        # By default TensorFlow takes the whole memory, and a second job on the same GPU fails.
        if not tf.config.experimental.get_memory_growth(gpu):
            tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    return _Gpu(details.get("device_name", "GPU"), details.get("compute_capability", (0, 0)))


def _configure_jax(threads: int, deterministic: bool) -> _Gpu | None:
    # JAX reads these when it starts its first device, after the import.
    os.environ["NPROC"] = str(threads)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    flag = "--xla_gpu_deterministic_ops=true"
    if deterministic and flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    jax = importlib.import_module("jax")
    device = jax.devices()[0]
    if device.platform != "gpu":
        return None
    if not jax.config.jax_compilation_cache_dir:
        # All seeds of a recipe share one program, and compiling it takes as long as some epochs.
        compiled = tempfile.TemporaryDirectory(prefix="convnet-xla-")
        atexit.register(compiled.cleanup)
        jax.config.update("jax_compilation_cache_dir", compiled.name)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    major, _, minor = str(getattr(device, "compute_capability", "0.0")).partition(".")
    return _Gpu(device.device_kind, (int(major), int(minor or 0)))


def _processor_has_bfloat16() -> bool:
    return not BFLOAT16_INSTRUCTIONS.isdisjoint(_processor_field("flags").split())
