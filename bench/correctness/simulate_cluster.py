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
from typing import Any

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
    generator = np.random.default_rng([seed, setting.jobs])
    drawn = generator.integers(len(seconds), size=setting.jobs)
    # (time, order, kind, machine, job, generation); events of jobs on a machine that was lost have an older generation.
    events: list[tuple[float, int, str, int, int, int]] = []
    order = itertools.count()
    waiting = deque(range(setting.jobs))
    generation = [0] * setting.machines
    running: list[set[int]] = [set() for _ in range(setting.machines)]
    has: list[set[int]] = [set() for _ in range(setting.machines)]
    link_free = sender_free = costs.start
    stored = lost = 0
    end, moved, worked = costs.start, 0.0, 0.0

    def over_link(ready: float, length: float) -> float:
        nonlocal link_free, moved
        link_free = max(link_free, ready) + length / costs.link
        moved += length
        return link_free

    def begin(now: float, machine: int) -> None:
        nonlocal sender_free, worked
        if not waiting:
            return
        job = waiting.popleft()
        # Submitted ahead, while workers are busy: half of the sender's part; storing is the other half.
        sender_free = max(sender_free, costs.start) + costs.sender / 2
        ready = max(now, sender_free) + costs.process
        dataset = job * setting.datasets // setting.jobs  # jobs of one dataset follow one another
        if dataset not in has[machine]:
            has[machine].add(dataset)
            ready = over_link(ready, costs.dataset)
        done = ready + seconds[drawn[job]]
        worked += done - now
        running[machine].add(job)
        heapq.heappush(events, (done, next(order), "trained", machine, job, generation[machine]))

    for machine in range(setting.machines):
        loss = costs.start + generator.exponential(costs.machine_hours * 3600)
        heapq.heappush(events, (loss, next(order), "lost", machine, -1, 0))
    for _ in range(setting.jobs_per_machine):
        for machine in range(setting.machines):
            begin(costs.start, machine)
    while stored < setting.jobs:
        now, _, kind, machine, job, of = heapq.heappop(events)
        if kind == "lost":
            lost += len(running[machine])
            waiting.extendleft(running[machine])
            running[machine].clear()
            has[machine].clear()
            generation[machine] += 1
            # Another machine takes its place at once.
            heapq.heappush(
                events,
                (now + generator.exponential(costs.machine_hours * 3600), next(order), "lost", machine, -1, 0),
            )
            for _ in range(setting.jobs_per_machine):
                begin(now, machine)
        elif kind == "trained" and of == generation[machine]:
            running[machine].discard(job)
            arrived = over_link(now, lengths[drawn[job]])
            heapq.heappush(events, (arrived, next(order), "arrived", machine, job, 0))
            begin(now, machine)
        elif kind == "arrived":
            sender_free = max(sender_free, now) + costs.sender / 2
            stored += 1
            end = sender_free
    return {"seconds": round(end, 1), "worker_seconds": round(worked), "bytes_moved": round(moved), "jobs_lost": lost}


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
