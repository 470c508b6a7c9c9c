"""What each remedy adds to a step of the small CNN: the step with it beside the plain step, in one process.

    python -m bench.speed.remedies                 3 minutes
    python -m bench.speed.remedies --scale full

The images are drawn at random: their content does not change the time of a step. An overhead of 15 % is a ratio of
0.87.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bench.lib.material import AUGMENTATION, BATCH_SIZE, cnn_recipe
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import alternate
from convnet.params.remedies import find_remedies
from convnet.system.processes import usable_cores

FILTERS = (16, 32, 64)
TARGET = 1 / 1.15  # plain step / step with the remedy
# What a remedy needs besides its defaults.
SETTINGS: dict[str, dict[str, float]] = {
    "colour": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 10.0, "grey": 0.1}
}


class Scale(NamedTuple):
    """How much is measured."""

    image_size: tuple[int, int]
    steps: int  # per repeat
    repeats: int
    remedies: int  # at most


SCALES = {
    "toy": Scale((32, 32), 4, 1, 2),
    "short": Scale((150, 150), 30, 5, 99),
    "full": Scale((150, 150), 60, 15, 99),
}


def make_epoch(scale: Scale, remedy: str | None) -> Callable[[int], float]:
    """Return a function that trains some steps with a remedy, or none, and returns the milliseconds of one."""
    from convnet.models.cnn import build_cnn
    from convnet.models.heads import choose_head
    from convnet.models.trainee import make_trainee
    from convnet.training.batches import Batches, all_rows, epoch_order
    from convnet.training.epoch import EpochTrainer
    from convnet.training.hooks import Hooks
    from convnet.training.optimizers import compile_model

    recipe = cnn_recipe(FILTERS, scale.image_size, 1, augmented=False)
    if remedy == "augmentation":
        recipe = recipe.model_copy(update={"augmentation": AUGMENTATION})
    elif remedy:
        settings = find_remedies()[remedy].settings
        assert settings is not None
        recipe = recipe.model_copy(update={"remedies": {remedy: settings(**SETTINGS.get(remedy, {})).model_dump()}})
    hooks, head, images = Hooks(recipe), choose_head(2, "sparse"), scale.steps * BATCH_SIZE
    model = make_trainee(build_cnn(scale.image_size, recipe.network, 0.0, head, hooks.network()))
    compile_model(model, recipe.fit, head, hooks.loss(head, model) if hooks.changes_loss else None)
    hooks.change_optimizer(model, images)
    pixels = np.random.default_rng(0).integers(0, 256, (images, *scale.image_size, 3), dtype=np.uint8)
    targets = (np.arange(images) % 2).astype(np.float32)[:, np.newaxis]
    trainer = EpochTrainer(model, change=hooks.change())

    def milliseconds(repeat: int) -> float:
        draws = hooks.draws(0, repeat, images)
        batches = Batches(all_rows(pixels), epoch_order(images, 0, repeat), BATCH_SIZE, targets, draws=draws)
        start = time.perf_counter()
        trainer.epoch(batches, lambda: None)
        return 1000 * (time.perf_counter() - start) / scale.steps

    milliseconds(0)  # compiles
    return milliseconds


def measure(scale: Scale, remedy: str, plain: Callable[[int], float]) -> dict[str, Any]:
    """Return the row of one remedy."""
    found = alternate({"ours": make_epoch(scale, remedy), "plain": plain}, scale.repeats, remedy)
    return compare(
        f"step with {remedy}", "ms", found["ours"], found["plain"], other_name="the plain step", target=TARGET
    )


def main() -> None:
    """Train in turns, write the result."""
    arguments = parse_arguments(__doc__, {"toy": "20 seconds", "short": "3 minutes", "full": "12 minutes"})
    scale = SCALES[arguments.scale]
    from convnet.backend.device import configure_device

    device = configure_device(threads=usable_cores(), precision="auto")
    plain = make_epoch(scale, None)
    names = [name for name, remedy in find_remedies().items() if remedy.batch or remedy.optimizer or remedy.loss]
    rows = [measure(scale, name, plain) for name in names[: scale.remedies]]
    write_result(arguments, rows, precision=device.precision, threads=device.threads)


if __name__ == "__main__":
    main()
