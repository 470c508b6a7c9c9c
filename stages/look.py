"""Stage look: draw what the networks of a dataset see, and measure them on perturbed copies of its images."""

import argparse
import math
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from convnet.analysis.robustness_extent import Part, robustness_parts
from convnet.params.load import load_params
from convnet.params.schema import Params
from convnet.system.errors import command
from convnet.system.files import write_json
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
    params = load_params()
    parts = [partial(_measure, part=part) for part in robustness_parts(params, look.dataset)]
    # `make repro` looks at all datasets at once. Cores beyond those would be idle.
    at_once = math.ceil(usable_cores() / len(params.run.datasets))
    rows: dict[str, Any] = {}
    for found in map_in_processes(partial(_run, look), [*parts, _explain], at_once, items_per_task=1):
        rows |= found
    in_order = [row for variant in params.run.variants for row in rows.get(variant, [])]
    write_json(look.robustness, {"dataset": look.dataset, "rows": in_order})


def _run(look: Look, part: Callable[[Look, Params], dict[str, Any]]) -> dict[str, Any]:
    params = load_params()
    # Imported late, because it costs seconds. The device comes first: it silences the libraries that follow.
    from convnet.backend.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    return part(look, params)


def _explain(look: Look, params: Params) -> dict[str, Any]:
    from convnet.analysis.explain import explain_dataset
    from convnet.analysis.remedy_draws import draw_remedies
    from convnet.report.catalogue import in_language

    with in_language(params.report.language):
        explain_dataset(params, look.dataset, look.arrays, look.models, look.explanations)
        draw_remedies(params, look.dataset, look.arrays, look.models, look.explanations)
    return {}  # no rows


def _measure(look: Look, params: Params, part: Part) -> dict[str, Any]:
    from convnet.analysis.robustness import measure_part

    if multiprocessing.parent_process():
        show_progress_every(None)  # two bars in one terminal would overwrite each other
    return measure_part(params, look.dataset, look.arrays, look.models, part)


if __name__ == "__main__":
    main()
