"""Stage look: draw what the networks of a dataset see, and measure them on perturbed copies of its images."""

import argparse
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from convnet.params.load import load_params
from convnet.params.schema import Params
from convnet.system.errors import command
from convnet.system.processes import map_in_processes, usable_cores
from convnet.system.progress import show_progress_every


@dataclass(frozen=True)
class Look:
    """What is looked at, and where the outputs go."""

    dataset: str
    arrays: Path
    models: Path
    explanations: Path
    robustness: Path


@command
def main() -> None:
    """Write figures, and the accuracy on perturbed copies unless params.yaml switches it off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("explanations", type=Path, help="folder for the figures and their list")
    parser.add_argument("robustness", type=Path, help="JSON for the accuracy on perturbed copies")
    look = Look(**vars(parser.parse_args()))
    # `make repro` looks at all datasets at once. Cores beyond those would be idle, so the two halves run at once.
    halves = (_explain, _measure)
    at_once = len(halves) if usable_cores() > len(load_params().run.datasets) else 1
    for _ in map_in_processes(partial(_run, look), halves, at_once, items_per_task=1):
        pass


def _run(look: Look, half: Callable[[Look, Params], None]) -> None:
    params = load_params()
    # Imported late, because it costs seconds. The device comes first: it silences the libraries that follow.
    from convnet.backend.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    half(look, params)


def _explain(look: Look, params: Params) -> None:
    from convnet.analysis.explain import explain_dataset
    from convnet.analysis.remedy_draws import draw_remedies
    from convnet.report.catalogue import in_language

    with in_language(params.report.language):
        explain_dataset(params, look.dataset, look.arrays, look.models, look.explanations)
        draw_remedies(params, look.dataset, look.arrays, look.models, look.explanations)


def _measure(look: Look, params: Params) -> None:
    from convnet.analysis.robustness import write_robustness

    if multiprocessing.parent_process():
        show_progress_every(None)  # two bars in one terminal would overwrite each other
    write_robustness(params, look.dataset, look.arrays, look.models, look.robustness)


if __name__ == "__main__":
    main()
