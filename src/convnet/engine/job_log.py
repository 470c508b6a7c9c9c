"""Print how a run's jobs end, one whole line at a time, so that the lines of several jobs never mix."""

import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from convnet.engine.forecast import duration
from convnet.jobs.job import Job
from convnet.jobs.store import facts, timing
from convnet.system.errors import UserError, printable
from convnet.system.files import write_json

SECONDS_BETWEEN_LINES = 10.0


class JobLog:
    """Counts jobs as they end and keeps the reasons of those that failed."""

    def __init__(
        self, jobs: int, finished_before: int, expected: Mapping[str, float] | None = None, opening: str | None = None
    ) -> None:
        """Start the count.

        Args:
            jobs: how many are to run.
            finished_before: how many the store holds besides.
            expected: the seconds of each job to run, by label: its weight in the time left. None: all weigh the same.
            opening: the first line; None: how many jobs were finished before, if any.
        """
        self.failures: list[str] = []
        self.failed_keys: set[str] = set()
        self._lines: set[str] = set()
        self._jobs, self._done = jobs + finished_before, finished_before
        self._waiting = None if expected is None else dict(expected)
        self._ended = 0.0  # expected seconds of the jobs that ended; their number without `expected`
        self._images = 0
        self._start = self._last = time.monotonic()
        if opening is None and finished_before:
            opening = f"{finished_before} of {self._jobs} jobs were finished before"
        if opening is not None:
            self.line(opening)

    def line(self, text: str) -> None:
        """Print a line to standard error."""
        print(printable(text), file=sys.stderr, flush=True)
        self._last = time.monotonic()

    def line_once(self, text: str) -> None:
        """Print a line of a job, once per run for all jobs that write it."""
        if text not in self._lines:
            self._lines.add(text)
            self.line(text)

    def found(self, jobs: Iterable[Job]) -> None:
        """Count jobs that the store turned out to hold, among those that were expected to run."""
        for job in jobs:
            if self._waiting is not None and self._waiting.pop(job.label, None) is not None:
                self._done += 1

    def ended(self, job: Job, failure: str | None) -> None:
        """Count a job that ended: its result is in the store, or `failure` is the reason why not."""
        self._ended += 1.0 if self._waiting is None else self._waiting.pop(job.label, 0.0)
        self._done += 1
        count = f"[{self._done}/{self._jobs}]"
        if failure is not None:
            self.failures.append(failure)
            self.failed_keys.add(job.key)
            with suppress(OSError, UserError):  # perhaps the disk is full: the other jobs go on
                write_json(job.folder / "failed.json", {"job": job.label, "reason": failure})
            self.line(f"{count} failed: {failure}")
            return
        measured = timing(job)
        self._images += round(measured["images_per_second"] * measured["seconds_training"])
        self.line(
            f"{count} {job.label}: {facts(job)['epochs']} epochs in {measured['seconds_training']:.1f} s, "
            f"{measured['images_per_second']:.0f} images/s{self._together()}"
        )

    def waited(self, running: int) -> None:
        """Print how many jobs run, if the last line is some time ago."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self.line(f"[{self._done}/{self._jobs}] {running} jobs at work{self._together()}")

    def close(self) -> None:
        """End the count.

        Raises:
            UserError: at least one job failed; the message names each and its reason.
        """
        if self.failures:
            reasons = "; ".join(self.failures)
            raise UserError(f"{len(self.failures)} of {self._jobs} jobs failed, the others are kept: {reasons}")

    def _together(self) -> str:
        """Return the rate of all processes and the time left, while some jobs have ended and others have not."""
        if self._ended <= 0 or self._done >= self._jobs:
            return ""
        seconds = time.monotonic() - self._start
        waiting = self._jobs - self._done if self._waiting is None else sum(self._waiting.values())
        left = waiting * seconds / self._ended
        return f"; together {self._images / seconds:.0f} images/s, {duration(left)} left"
