"""What bounds a head on flattened features: its step beside Keras' own RMSprop, and beside moving its memory once.

    python -m bench.speed.head_step                 a minute
    python -m bench.speed.head_step --scale full

InceptionV3's mixed7 at 150x150, flattened, is 37,632 numbers; Dense 1024 on them has 38.5 million weights, and RMSprop
renews them all at every batch of 20. A step cannot do with less than seven passes over memory of that size: the weights
read (forward), the gradient written, then gradient, weights and mean squares read, weights and mean squares written.
The limit is their time at the speed at which this machine copies arrays with all its cores.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.lib.material import BATCH_SIZE
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import alternate
from convnet.system.processes import usable_cores

LEARNING_RATE = 0.0001
PASSES = 7  # a copy makes two: it reads and writes


class Scale(NamedTuple):
    """How much is measured."""

    features: int
    dense: int
    steps: int  # per repeat
    repeats: int


SCALES = {
    "toy": Scale(1024, 1024, 2, 1),
    "short": Scale(37_632, 1024, 10, 5),
    "full": Scale(37_632, 1024, 20, 15),
}


def make_step(scale: Scale, optimizer: Any) -> Callable[[int], float]:
    """Return a function that trains a head for some steps and returns the seconds of one."""
    from convnet.models.cnn import build_head
    from convnet.models.heads import choose_head

    head = choose_head(2, "sparse")
    model = build_head(scale.features, scale.dense, 0.0, head)
    model.compile(optimizer=optimizer, loss=head.loss, jit_compile=False)
    rows = np.random.default_rng(0).random((BATCH_SIZE, scale.features)).astype(np.float16)
    targets = (np.arange(BATCH_SIZE) % 2).astype(np.float32)[:, np.newaxis]

    def seconds(repeat: int) -> float:
        start = time.perf_counter()
        for _ in range(scale.steps):
            model.train_on_batch(rows, targets)
        return (time.perf_counter() - start) / scale.steps

    model.train_on_batch(rows, targets)  # builds the functions
    return seconds


def make_copies(scale: Scale) -> Callable[[int], float]:
    """Return a function that returns the seconds of as many passes over memory as a step must make."""
    cores = usable_cores()
    source = np.ones((scale.features, scale.dense), np.float32)
    target = np.zeros_like(source)
    parts: list[tuple[NDArray[Any], NDArray[Any]]] = list(
        zip(np.array_split(target, cores), np.array_split(source, cores), strict=True)
    )
    pool = ThreadPoolExecutor(cores)  # NumPy copies without Python's lock

    def seconds(repeat: int) -> float:
        start = time.perf_counter()
        for _ in range(scale.steps):
            list(pool.map(lambda part: np.copyto(*part), parts))
        return (time.perf_counter() - start) / scale.steps * PASSES / 2

    return seconds


def main() -> None:
    """Train and copy in turns, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "20 seconds", "short": "1 minute", "full": "3 minutes"})
    scale = SCALES[arguments.scale]
    from convnet.backend.device import configure_device

    device = configure_device(threads=usable_cores(), precision="float32")
    import keras

    from convnet.training.optimizers import FusedRMSprop

    found = alternate(
        {
            "ours": make_step(scale, FusedRMSprop(LEARNING_RATE)),
            "keras": make_step(scale, keras.optimizers.RMSprop(LEARNING_RATE)),
            "memory": make_copies(scale),
        },
        scale.repeats,
        "head step",
    )
    milliseconds = {name: [1000 * value for value in values] for name, values in found.items()}
    weights = scale.features * scale.dense
    rows = [
        compare(
            f"step of a head, {weights / 1e6:.1f} million weights", "ms", milliseconds["ours"], milliseconds[side],
            other_name=name,
        )
        for side, name in (("keras", "Keras' RMSprop"), ("memory", f"{PASSES} passes over its memory, the limit"))
    ]  # fmt: skip
    write_result(arguments, rows, precision=device.precision, threads=device.threads)


if __name__ == "__main__":
    main()
