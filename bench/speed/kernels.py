"""What TensorFlow's oneDNN kernels bring on this processor: seconds of a training step with and without them.

    python -m bench.speed.kernels                 some minutes
    python -m bench.speed.kernels --scale full

TensorFlow switches oneDNN on by itself only where a processor has AVX512 or AMX; this program always does (see
`configure_device`). Each side is a process of its own, in turns, with the same network, batch and cores; one constant
batch of noise, since the time of a step does not depend on what it shows.
"""

import time
from typing import Any, NamedTuple

from bench.lib.material import BATCH_SIZE, LARGE, SMALL, cnn_recipe, recipe_name
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import Side, alternate
from convnet.system.processes import usable_cores


class Scale(NamedTuple):
    """How much is measured."""

    image_size: tuple[int, int]
    steps: int  # per repeat
    repeats: int
    networks: tuple[tuple[int, ...], ...]


SCALES = {
    "toy": Scale((48, 48), 2, 1, (SMALL,)),
    "short": Scale((150, 150), 10, 5, (SMALL, LARGE)),
    "full": Scale((150, 150), 30, 15, (SMALL, LARGE)),
}


class Case(NamedTuple):
    """What both sides train."""

    filters: tuple[int, ...]
    augmented: bool
    image_size: tuple[int, int]


_models: dict[Case, Any] = {}  # of a side's process, built in its first turn


def start() -> None:
    """Set up the process of a side as a stage does; which kernels it takes is in its environment."""
    from convnet.backend.device import configure_device

    configure_device(threads=usable_cores(), precision="float32")


def seconds_of_a_step(case: Case, steps: int) -> float:
    """Train `steps` steps and return the seconds of one."""
    import numpy as np

    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (BATCH_SIZE, *case.image_size, 3), dtype=np.uint8)
    targets = (np.arange(BATCH_SIZE) % 2).astype(np.float32)[:, np.newaxis]
    if case not in _models:
        _models[case] = _build(case)
        _models[case].train_on_batch(pixels, targets)  # builds the functions
    began = time.perf_counter()
    for _ in range(steps):
        _models[case].train_on_batch(pixels, targets)
    return (time.perf_counter() - began) / steps


def _build(case: Case) -> Any:
    from convnet.models.cnn import build_cnn
    from convnet.models.heads import choose_head
    from convnet.models.trainee import make_trainee
    from convnet.models.transfer import with_augmentation
    from convnet.training.optimizers import compile_model

    recipe, head = cnn_recipe(case.filters, case.image_size, 1, augmented=case.augmented), choose_head(2, "sparse")
    model = make_trainee(build_cnn(case.image_size, recipe.network, recipe.dropout, head))
    if recipe.augmentation:
        model = with_augmentation(model, recipe.augmentation, seed=0)
    compile_model(model, recipe.fit, head)
    return model


def measure(case: Case, scale: Scale, ours: Side, without: Side) -> dict[str, Any]:
    """Return the row of one network, plain or augmented."""
    name = recipe_name(case.filters, case.augmented)
    found = alternate(
        {
            "ours": lambda repeat: ours(seconds_of_a_step, case, scale.steps),
            "without": lambda repeat: without(seconds_of_a_step, case, scale.steps),
        },
        scale.repeats,
        name,
    )
    milliseconds = {side: [1000 * value for value in values] for side, values in found.items()}
    return compare(
        f"{name}, one step", "ms", milliseconds["ours"], milliseconds["without"], other_name="without oneDNN"
    )


def main() -> None:
    """Train in turns, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "1 minute", "short": "3 minutes", "full": "12 minutes"})
    scale = SCALES[arguments.scale]
    cases = [Case(filters, augmented, scale.image_size) for filters in scale.networks for augmented in (False, True)]
    with (
        Side(start, {"TF_ENABLE_ONEDNN_OPTS": "1"}) as ours,
        Side(start, {"TF_ENABLE_ONEDNN_OPTS": "0"}) as without,
    ):
        rows = [measure(case, scale, ours, without) for case in cases]
    write_result(arguments, rows, threads=usable_cores())


if __name__ == "__main__":
    main()
