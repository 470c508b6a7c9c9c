"""The job of a further seed, beside the same job in a process that has not trained its recipe before.

    python -m bench.speed.next_seed                 3 minutes
    python -m bench.speed.next_seed --scale full

A process keeps traced networks and loaded backbones (`convnet.training.prepared`). Whole jobs on rendered images, on
one thread: building, training and saving. Both sides take turns in one process; the other one forgets all it keeps.
"""

import tempfile
import time
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import SMALL, bring_archive, cnn_recipe, ingest, make_job
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import alternate


class Scale(NamedTuple):
    """How much is measured."""

    images_per_class: int
    sides: tuple[int, ...]  # pixels
    epochs: int
    repeats: int


SCALES = {
    "toy": Scale(20, (48,), 1, 1),
    "short": Scale(100, (48, 150), 5, 5),
    "full": Scale(100, (48, 150), 5, 15),
}


def measure(scale: Scale, side: int, augmented: bool) -> dict[str, Any]:
    """Return the row of one network."""
    from convnet.training import prepared
    from convnet.training.train import train_job

    size, folder = (side, side), Path(f"images-{side}")
    if not folder.exists():
        bring_archive(folder / "archives", scale.images_per_class, size, real=False)
        ingest(folder / "archives", folder / "arrays", size)
    recipe = cnn_recipe(SMALL, size, scale.epochs, augmented=augmented)
    seeds = iter(range(10_000))

    def seconds(forget: bool) -> float:
        if forget:
            prepared.forget()
        start = time.perf_counter()
        train_job(make_job(recipe, folder / "arrays", next(seeds), threads=1))
        return time.perf_counter() - start

    seconds(forget=True)
    title = f"{recipe.variant}, {side}x{side}, {scale.epochs} epochs"
    found = alternate({"ours": lambda _: seconds(False), "other": lambda _: seconds(True)}, scale.repeats, title)
    return compare(f"{title}, a further seed", "s", found["ours"], found["other"], other_name="the first seed")


def main() -> None:
    """Train in turns, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "1 minute", "short": "3 minutes", "full": "8 minutes"})
    scale = SCALES[arguments.scale]
    from convnet.backend.device import configure_device

    configure_device(threads=1, precision="auto")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # the job store lies there
        rows = [measure(scale, side, augmented) for side in scale.sides for augmented in (False, True)]
    write_result(arguments, rows, threads=1)


if __name__ == "__main__":
    main()
