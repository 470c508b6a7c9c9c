"""Simulate many training jobs on a cluster, event by event, and compare with the formulas of docs/cluster.md.

    python -m bench.correctness.simulate_cluster            writes bench/results/cluster_simulation.json
    python -m bench.correctness.simulate_cluster --jobs DIR   measured job times from another job store

The simulated cluster works as engine/ray_cluster/driver.py does. The sending machine prepares and stores one job after
the other. Every machine fetches a dataset once, over the sender's one link, which also carries the results. Every job
is a new process that imports the libraries first. Sometimes a machine is lost, and its jobs restart on another. Job
times and result lengths are drawn from those measured in a job store.

The formulas contain no queue and no chance. They give the least seconds, by the bottleneck (workers, sender or link),
and the most, one longest job later. `within` is whether the simulated seconds are between them.
"""

import argparse
import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

from convnet.system.files import read_json, write_json

RESULTS = Path(__file__).parents[1] / "results" / "cluster_simulation.json"


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of one job besides its training, measured or assumed as in docs/cluster.md.

    Attributes:
        start: to connect and to start the first process, seconds.
        process: of a new process with its imports, seconds.
        sender: of the sending machine for one job, to prepare it and to store its result, seconds.
        link: bytes per second in or out of the sending machine (1 Gbit/s).
        dataset: bytes of one dataset's arrays.
        machine_hours: mean hours until a machine is lost (as on spot machines).
    """

    start: float = 20.0
    process: float = 8.0
    sender: float = 0.11
    link: float = 125e6
    dataset: float = 12.3e6
    machine_hours: float = 24.0


@dataclass(frozen=True)
class Setting:
    """A number of jobs, and a cluster."""

    jobs: int
    machines: int
    jobs_per_machine: int
    datasets: int


SETTINGS = (Setting(10, 2, 1, 1), Setting(1_000, 16, 4, 4), Setting(100_000, 64, 16, 20))


def predict(setting: Setting, costs: Costs, seconds: Sequence[float], lengths: Sequence[float]) -> dict[str, Any]:
    """Return the seconds, bytes and losses by the formulas of docs/cluster.md.

    Args:
        setting: the jobs and the cluster.
        costs: of each part.
        seconds: measured training seconds.
        lengths: measured bytes of results.
    """
    slots = setting.machines * setting.jobs_per_machine
    work = setting.jobs * (costs.process + mean(seconds))
    lost = work / (costs.machine_hours * 3600)  # jobs; each costs half of itself on average
    work += lost * (costs.process + mean(seconds)) / 2
    moved = setting.jobs * mean(lengths) + setting.machines * setting.datasets * costs.dataset
    bounds = {"workers": work / slots, "sender": setting.jobs * costs.sender, "link": moved / costs.link}
    binding = max(bounds, key=lambda name: bounds[name])
    least = costs.start + bounds[binding]
    # Graham's bound for a queue: no worker is idle before the last job begins.
    most = least + costs.process + max(seconds)
    return {
        "seconds_least": round(least),
        "seconds_most": round(most),
        "bound": binding,
        "worker_seconds": round(work),
        "jobs_lost": round(lost, 1),
        "bytes_moved": round(moved),
        "bytes_stored": round(setting.jobs * mean(lengths)),
    }


class _Event(NamedTuple):
    """An event of the simulation; events are ordered by time, then by the order in which they were planned."""

    time: float
    order: int
    kind: str  # lost, trained or arrived
    machine: int
    job: int
    generation: int  # of the machine; an event of a job on a machine that was lost has an older one


class _Simulation:
    """A cluster at work, event by event."""

    def __init__(
        self, setting: Setting, costs: Costs, seconds: Sequence[float], lengths: Sequence[float], seed: int
    ) -> None:
        self.setting, self.costs = setting, costs
        self.generator = np.random.default_rng([seed, setting.jobs])
        drawn = self.generator.integers(len(seconds), size=setting.jobs)
        self.seconds, self.lengths = [seconds[k] for k in drawn], [lengths[k] for k in drawn]
        self.events: list[_Event] = []
        self.order = itertools.count()
        self.waiting = deque(range(setting.jobs))
        self.generation = [0] * setting.machines
        self.running: list[set[int]] = [set() for _ in range(setting.machines)]
        self.has: list[set[int]] = [set() for _ in range(setting.machines)]
        self.link_free = self.sender_free = self.end = costs.start
        self.stored = self.jobs_lost = 0
        self.moved = self.worked = 0.0

    def run(self) -> None:
        """Go from the start to the last stored result."""
        for machine in range(self.setting.machines):
            self._plan_loss(self.costs.start, machine)
        for _ in range(self.setting.jobs_per_machine):
            for machine in range(self.setting.machines):
                self._begin(self.costs.start, machine)
        happened = {"lost": self._lose, "trained": self._send_back, "arrived": self._store}
        while self.stored < self.setting.jobs:
            event = heapq.heappop(self.events)
            happened[event.kind](event)

    def _plan(self, time: float, kind: str, machine: int, job: int, generation: int = 0) -> None:
        heapq.heappush(self.events, _Event(time, next(self.order), kind, machine, job, generation))

    def _plan_loss(self, now: float, machine: int) -> None:
        self._plan(now + self.generator.exponential(self.costs.machine_hours * 3600), "lost", machine, -1)

    def _over_link(self, ready: float, length: float) -> float:
        """Return when a transfer ends that is ready to start at `ready`."""
        self.link_free = max(self.link_free, ready) + length / self.costs.link
        self.moved += length
        return self.link_free

    def _begin(self, now: float, machine: int) -> None:
        """Give a machine the next job, if one waits."""
        if not self.waiting:
            return
        job = self.waiting.popleft()
        # Submitted ahead, while workers are busy: half of the sender's part; storing is the other half.
        self.sender_free = max(self.sender_free, self.costs.start) + self.costs.sender / 2
        ready = max(now, self.sender_free) + self.costs.process
        dataset = job * self.setting.datasets // self.setting.jobs  # jobs of one dataset follow one another
        if dataset not in self.has[machine]:
            self.has[machine].add(dataset)
            ready = self._over_link(ready, self.costs.dataset)
        done = ready + self.seconds[job]
        self.worked += done - now
        self.running[machine].add(job)
        self._plan(done, "trained", machine, job, self.generation[machine])

    def _lose(self, event: _Event) -> None:
        """Put the jobs of a lost machine back into the queue. Another machine takes its place at once."""
        machine = event.machine
        self.jobs_lost += len(self.running[machine])
        self.waiting.extendleft(self.running[machine])
        self.running[machine].clear()
        self.has[machine].clear()
        self.generation[machine] += 1
        self._plan_loss(event.time, machine)
        for _ in range(self.setting.jobs_per_machine):
            self._begin(event.time, machine)

    def _send_back(self, event: _Event) -> None:
        """Send a result over the link, and go on with the next job."""
        if event.generation != self.generation[event.machine]:
            return
        self.running[event.machine].discard(event.job)
        arrived = self._over_link(event.time, self.lengths[event.job])
        self._plan(arrived, "arrived", event.machine, event.job)
        self._begin(event.time, event.machine)

    def _store(self, event: _Event) -> None:
        self.sender_free = max(self.sender_free, event.time) + self.costs.sender / 2
        self.stored += 1
        self.end = self.sender_free


def simulate(
    setting: Setting, costs: Costs, seconds: Sequence[float], lengths: Sequence[float], seed: int
) -> dict[str, Any]:
    """Return the seconds, bytes and losses of a simulation, event by event.

    Args:
        setting: the jobs and the cluster.
        costs: of each part.
        seconds: measured training seconds to draw from.
        lengths: measured bytes of results, in the same order.
        seed: of the draws and the losses.
    """
    simulation = _Simulation(setting, costs, seconds, lengths, seed)
    simulation.run()
    return {
        "seconds": round(simulation.end, 1),
        "worker_seconds": round(simulation.worked),
        "bytes_moved": round(simulation.moved),
        "jobs_lost": simulation.jobs_lost,
    }


def measured(store: Path) -> tuple[list[float], list[float]]:
    """Return training seconds and result bytes of every finished job in a store."""
    seconds, lengths = [], []
    for path in sorted(store.glob("*/result/timing.json")):
        timing = read_json(path)
        seconds.append(timing["seconds_training"] + timing["seconds_predicting"])
        lengths.append(float(sum(file.stat().st_size for file in path.parent.iterdir())))
    return seconds, lengths


def main() -> None:
    """Predict and simulate every setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=Path, help="a job store, .jobs; default: the job times kept in the results file")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.jobs:
        seconds, lengths = measured(arguments.jobs)
    else:
        kept = read_json(RESULTS)["measured"]
        seconds, lengths = kept["job_seconds"], kept["result_bytes"]
    costs = Costs()
    rows = []
    for setting in SETTINGS:
        predicted = predict(setting, costs, seconds, lengths)
        simulated = simulate(setting, costs, seconds, lengths, seed=0)
        within = predicted["seconds_least"] <= simulated["seconds"] <= predicted["seconds_most"]
        rows.append({**asdict(setting), "predicted": predicted, "simulated": simulated, "within": within})
        print(
            f"{setting.jobs:>7,} jobs on {setting.machines} x {setting.jobs_per_machine}: "
            f"predicted {predicted['seconds_least']:,} to {predicted['seconds_most']:,} s ({predicted['bound']}), "
            f"simulated {simulated['seconds']:,.0f} s; {simulated['jobs_lost']} jobs lost, "
            f"{simulated['bytes_moved'] / 1e9:,.1f} GB moved"
        )
    write_json(
        arguments.output,
        {
            "command": "python -m bench.correctness.simulate_cluster",
            "costs": asdict(costs),
            "measured": {"job_seconds": seconds, "result_bytes": lengths},
            "settings": rows,
        },
    )


if __name__ == "__main__":
    main()
