"""What came of a run's jobs, told one whole line at a time, so that many at once never garble the terminal."""

import sys
import time
from contextlib import suppress

from convnet.jobs.job import Job
from convnet.jobs.store import facts, timing
from convnet.system.errors import UserError, printable
from convnet.system.files import write_json

SECONDS_BETWEEN_LINES = 10.0


class Tally:
    """Counts jobs as they end and keeps the reasons of those that failed."""

    def __init__(self, jobs: int, finished_before: int) -> None:
        """Begin to count.

        Args:
            jobs: how many are to be run.
            finished_before: how many more the store held already.
        """
        self.failures: list[str] = []
        self._notes: set[str] = set()
        self._jobs, self._finished_before = jobs, finished_before
        self._done = self._images = 0
        self._start = self._last = time.monotonic()
        if finished_before:
            self.say(f"{finished_before} of {jobs + finished_before} jobs were finished before")

    def say(self, line: str) -> None:
        """Print one line to standard error."""
        print(printable(line), file=sys.stderr, flush=True)
        self._last = time.monotonic()

    def note(self, line: str) -> None:
        """Print what a job had to say, once per run however many jobs say it."""
        if line not in self._notes:
            self._notes.add(line)
            self.say(line)

    def ended(self, job: Job, failure: str | None) -> None:
        """Count a job that ended: its result is in the store, or `failure` says why not."""
        self._done += 1
        place = f"[{self._done}/{self._jobs}]"
        if failure is not None:
            self.failures.append(failure)
            with suppress(OSError, UserError):  # for want of room, it may be: the others go on without this note
                write_json(job.folder / "failed.json", {"job": job.label, "reason": failure})
            self.say(f"{place} failed: {failure}")
            return
        measured = timing(job)
        self._images += round(measured["images_per_second"] * measured["seconds_training"])
        self.say(
            f"{place} {job.label}: {facts(job)['epochs']} epochs in {measured['seconds_training']:.1f} s, "
            f"{measured['images_per_second']:.0f} images/s{self._together()}"
        )

    def waited(self, running: int) -> None:
        """Say that `running` jobs are still at work, if nothing was said for a while."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self.say(f"[{self._done}/{self._jobs}] {running} jobs at work{self._together()}")

    def close(self) -> None:
        """End the count.

        Raises:
            UserError: at least one job failed; the sentence names each and why.
        """
        if self.failures:
            total = self._jobs + self._finished_before
            raise UserError(
                f"{len(self.failures)} of {total} jobs failed, the others are kept: " + "; ".join(self.failures)
            )

    def _together(self) -> str:
        """Return the rate of all processes together and the time left, once a job has ended and others have not."""
        if not self._done or self._done == self._jobs:
            return ""
        seconds = time.monotonic() - self._start
        left = (self._jobs - self._done) * seconds / self._done
        return f"; together {self._images / seconds:.0f} images/s, {left:.0f} s left"
