"""One epoch of training, several steps in one call of the backend."""

import time
from collections.abc import Callable, Iterator

import keras
import numpy as np

from convnet.backend.steps import LOGGED, Change, Logs, Steps, choose_steps
from convnet.training.batches import Batches

SECONDS_AT_ONCE = 0.2  # of one call: Ctrl-C and progress wait for its end
MOST_BYTES = 2**24  # of the rows of one call


class EpochTrainer:
    """Trains a compiled model epoch by epoch.

    The time of a step decides the number of steps in a call, and that number changes no bit of weights or logs. Both
    equal those of `train_on_batch`, except for the last bits with augmentation under TensorFlow: XLA compiles it for
    batches of any size here.
    """

    def __init__(self, model: keras.Model, steps: Steps | None = None, change: Change = tuple) -> None:
        """Train `model` by `steps`; None: by the fastest on this device, which `change` every batch."""
        self._steps = steps or choose_steps(model, change)
        self._at_once = 1

    def epoch(self, batches: Batches, tick: Callable[[], object]) -> dict[str, float]:
        """Train on `batches`, which have targets; call `tick` after each step.

        Returns:
            Loss and accuracy, the means over all images.
        """
        totals = dict.fromkeys(LOGGED, 0.0)
        most = max(1, min(self._steps.most, MOST_BYTES // batches.row_bytes, batches.whole))
        self._steps.begin(most)
        for count, images, logs in self._calls(batches, most):
            values = {name: np.asarray(logs[name]) for name in LOGGED}  # waits for a GPU
            for step in range(count):
                for name in LOGGED:
                    totals[name] += float(values[name][step]) * images
                tick()
        self._steps.end()
        return {name: total / batches.images for name, total in totals.items()}

    def _calls(self, batches: Batches, most: int) -> Iterator[tuple[int, int, Logs]]:
        """Yield steps, images per step and logs of each call, while a GPU already runs the next one."""
        running: list[tuple[int, int, Logs]] = []
        last, first = time.perf_counter(), 0
        while first < len(batches):
            count = max(1, min(self._at_once, batches.whole - first))
            stacked = batches.stack(first, count)
            running.append((count, stacked[0].shape[1], self._steps(stacked)))
            if len(running) > 1:
                yield running.pop(0)
            first += count
            now = time.perf_counter()
            allowed = int(SECONDS_AT_ONCE * count / max(now - last, 1e-9))
            self._at_once = max(1, min(2 * self._at_once, most, allowed))
            last = now
        yield from running
