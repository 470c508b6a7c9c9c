"""What the choice of kernels brings on this processor: seconds of a training step, each choice beside the other.

    python -m bench.speed.kernels                 some minutes
    python -m bench.speed.kernels --scale full

TensorFlow switches oneDNN on by itself only where a processor has AVX512 or AMX; this program always does (see
`configure_device`). The first rows are with and without it, in float32, on all cores. The last rows are of one thread,
in the precision of this processor: what the program trains (`make_trainee`, in large pages of memory) beside the saved
network. Each side is a process of its own, in turns, with the same network and batch; one constant batch of noise,
since the time of a step does not depend on what it shows.
"""

import time
from typing import Any, NamedTuple

from bench.lib.material import BATCH_SIZE, LARGE, SMALL, cnn_recipe, recipe_name
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import Side, alternate
from convnet.engine.local import LARGE_PAGES
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
    """What a side trains."""

    filters: tuple[int, ...]
    augmented: bool
    image_size: tuple[int, int]
    saved: bool = False  # the saved network itself
    lean: bool = False  # with batch normalisation and averages of maps


_models: dict[Case, Any] = {}  # of a side's process, built in its first turn


def start() -> None:
    """Set up the process of a side as a stage does; which kernels it takes is in its environment."""
    from convnet.backend.device import configure_device

    configure_device(threads=usable_cores(), precision="float32")


def start_one_thread() -> None:
    """Set up the process of a side as the program does for one of several jobs."""
    from convnet.backend.device import configure_device

    configure_device(threads=1, precision="auto")


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
    from convnet.models.cnn import Parts, build_cnn
    from convnet.models.heads import choose_head
    from convnet.models.trainee import make_trainee
    from convnet.models.transfer import with_augmentation
    from convnet.remedies.lean import REMEDY as LEAN
    from convnet.remedies.lean import Lean
    from convnet.training.optimizers import compile_model

    recipe, head = cnn_recipe(case.filters, case.image_size, 1, augmented=case.augmented), choose_head(2, "sparse")
    assert LEAN.network is not None
    parts = LEAN.network(Lean(), Parts()) if case.lean else Parts()
    model = build_cnn(case.image_size, recipe.network, recipe.dropout, head, parts)
    if not case.saved:
        model = make_trainee(model)
    if recipe.augmentation:
        model = with_augmentation(model, recipe.augmentation, seed=0)
    compile_model(model, recipe.fit, head)
    return model


def measure(case: Case, scale: Scale, ours: Side, without: Side) -> dict[str, Any]:
    """Return the row of one network, plain or augmented, with and without oneDNN."""
    return _compare(case, case, scale, ours, without, "one step", "without oneDNN")


def measure_trainee(case: Case, scale: Scale, ours: Side, usual: Side) -> dict[str, Any]:
    """Return the row of one network, plain or augmented, as the program trains it and as it is saved."""
    saved = case._replace(saved=True)
    return _compare(case, saved, scale, ours, usual, "one step of one thread", "the saved network, small pages")


def _compare(case: Case, other: Case, scale: Scale, ours: Side, theirs: Side, what: str, name: str) -> dict[str, Any]:
    title = recipe_name(case.filters, case.augmented) + (" lean" if case.lean else "")
    calls = {
        "ours": lambda repeat: ours(seconds_of_a_step, case, scale.steps),
        "other": lambda repeat: theirs(seconds_of_a_step, other, scale.steps),
    }
    found = alternate(calls, scale.repeats, title)
    milliseconds = {side: [1000 * value for value in values] for side, values in found.items()}
    return compare(f"{title}, {what}", "ms", milliseconds["ours"], milliseconds["other"], other_name=name)


def main() -> None:
    """Train in turns, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "1 minute", "short": "5 minutes", "full": "20 minutes"})
    scale = SCALES[arguments.scale]
    cases = [Case(filters, augmented, scale.image_size) for filters in scale.networks for augmented in (False, True)]
    with (
        Side(start, {"TF_ENABLE_ONEDNN_OPTS": "1"}) as ours,
        Side(start, {"TF_ENABLE_ONEDNN_OPTS": "0"}) as without,
    ):
        rows = [measure(case, scale, ours, without) for case in cases]
    with Side(start_one_thread, dict([LARGE_PAGES])) as ours, Side(start_one_thread) as usual:
        lean = Case(SMALL, augmented=False, image_size=scale.image_size, lean=True)
        rows += [measure_trainee(case, scale, ours, usual) for case in [*cases, lean]]
    write_result(arguments, rows, threads=usable_cores())


if __name__ == "__main__":
    main()
