"""One epoch of training, several steps in one call of the backend."""

import time
from collections.abc import Callable, Iterator

import keras

from convnet.backend.steps import LOGGED, Logs, Steps, _each, choose_steps
from convnet.training.batches import Batches

SECONDS_AT_ONCE = 0.2  # so long a Ctrl-C waits and the progress stands still
MOST_BYTES = 2**24  # of rows for one call


class EpochTrainer:
    """Trains a compiled model epoch by epoch.

    How many steps a call has depends on the time they take, and no bit of the weights or of what is logged on how many
    they are. Both are those of `train_on_batch` on one batch after the other, but for the last bits with augmentation
    under TensorFlow, since XLA compiles it for batches of any size here.
    """

    def __init__(self, model: keras.Model, steps: Steps | None = None) -> None:
        """Train `model`, in `steps` of it or in those that are best here."""
        self._steps = steps or choose_steps(model)
        self._at_once = 1

    def epoch(self, batches: Batches, tick: Callable[[], object]) -> dict[str, float]:
        """Run one epoch; return the means of loss and accuracy over it, each batch weighing by its images.

        Args:
            batches: with targets.
            tick: called for each step.
        """
        totals = dict.fromkeys(LOGGED, 0.0)
        most = max(1, min(self._steps.most, MOST_BYTES // batches.row_bytes, batches.whole))
        self._steps.begin(most)
        for images, values in self._run(batches, most):
            for name in LOGGED:
                totals[name] += values[name] * images
            tick()
        self._steps.end()
        return {name: total / batches.images for name, total in totals.items()}

    def _run(self, batches: Batches, most: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield the images of each batch and what its step logged.

        While a GPU runs the steps of a call, the rows of the next one are read.
        """
        running: tuple[int, int, Logs] | None = None
        last, first = time.perf_counter(), 0
        while first < len(batches):
            count = max(1, min(self._at_once, batches.whole - first))
            stacked = batches.stack(first, count)
            logs = self._steps(stacked)
            if running:
                yield from _each(*running)
            running = count, stacked[0].shape[1], logs
            first += count
            now = time.perf_counter()
            allowed = int(SECONDS_AT_ONCE * count / max(now - last, 1e-9))
            self._at_once = max(1, min(2 * self._at_once, most, allowed))
            last = now
        if running:
            yield from _each(*running)
