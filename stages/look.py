"""Stage look: draw what the networks of a dataset see, and measure them on perturbed copies of its images."""

import argparse
from pathlib import Path

from convnet.params.load import load_params
from convnet.system.errors import command


@command
def main() -> None:
    """Write figures, and the accuracy on perturbed copies unless params.yaml switches it off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("arrays", type=Path, help="folder of the prepare stage")
    parser.add_argument("models", type=Path, help="folder that holds one folder per variant")
    parser.add_argument("explanations", type=Path, help="folder for the figures and their list")
    parser.add_argument("robustness", type=Path, help="JSON for the accuracy on perturbed copies")
    arguments = parser.parse_args()
    params = load_params()
    # Imported late, because it costs seconds. The device comes first: it silences the libraries that follow.
    from convnet.backend.device import configure_device

    configure_device(threads=params.engine.threads_per_job, precision="float32")
    from convnet.analysis.explain import explain_dataset
    from convnet.analysis.remedy_draws import draw_remedies
    from convnet.analysis.robustness import write_robustness
    from convnet.report.catalogue import in_language

    with in_language(params.report.language):
        explain_dataset(params, arguments.dataset, arguments.arrays, arguments.models, arguments.explanations)
        draw_remedies(params, arguments.dataset, arguments.arrays, arguments.models, arguments.explanations)
    write_robustness(params, arguments.dataset, arguments.arrays, arguments.models, arguments.robustness)


if __name__ == "__main__":
    main()
