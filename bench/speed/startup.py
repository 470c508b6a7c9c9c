"""What starting costs: every stage, a `dvc repro` with nothing to do, and one changed variant.

    python -m bench.speed.startup                 some minutes
    python -m bench.speed.startup --scale full    more repeats

Every stage is asked for --help, which loads what it always loads, in turns with a bare `import keras`; told are also
how many modules it loads and whether TensorFlow is among them. Stages that train load Keras later, when they have
something to do: `everything` is the time until they could begin. Then, in a copy of the project whose pipeline is
made tiny and has run: `dvc repro` with nothing to do, and again after one dropout rate was changed.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib.material import PROJECT, change_params, copy_project
from bench.lib.numbers import compare, parse_arguments, write_result
from bench.lib.sides import alternate, watch

# Prints, on its last line, how many modules are loaded and whether TensorFlow is one of them.
COUNT = "print(len(sys.modules), int('tensorflow' in sys.modules))"
HELP = f"""
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit:
    pass
{COUNT}
"""
KERAS = f"import os, sys; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import keras; {COUNT}"
EVERYTHING = f"""
import sys
from convnet.backend.device import configure_device
configure_device(threads=2, precision="auto")
import convnet.training
{COUNT}
"""
TINY = {
    "run.datasets": ["pets"],
    "run.pixel_variants": ["baseline", "dropout"],
    "run.feature_variants": [],
    "run.fine_tune_variants": [],
    "run.seeds": [0],
    "datasets.pets.source.rendered.images_per_class": 20,
    "datasets.pets.source.rendered.image_size": [48, 48],
    "datasets.pets.image_size": [48, 48],
    "datasets.pets.split": {},  # the common shares: most of its own images are test images
    "network": {"filters": [4, 8], "dense": 16},
    "training.epochs": 1,
    "training.batch_size": 8,
    "robustness.images_per_split": 4,
    "sweep.enabled": False,
}


class Scale(NamedTuple):
    """How much is measured."""

    stages: tuple[str, ...] | None  # None: all
    repeats: int
    pipeline: bool


SCALES = {
    "toy": Scale(("download", "train"), 1, pipeline=False),
    "short": Scale(None, 3, pipeline=True),
    "full": Scale(None, 7, pipeline=True),
}


class Start(NamedTuple):
    """One start of an interpreter."""

    seconds: float
    modules: int
    tensorflow: bool


def start(*command: str | Path) -> Start:
    """Run Python with a program that ends by printing its modules."""
    done = watch([sys.executable, *command], PROJECT, {"PYTHONPATH": str(PROJECT / "src")})
    modules, tensorflow = done.output.split()[-2:]
    return Start(done.seconds, int(modules), bool(int(tensorflow)))


def measure_stages(scale: Scale) -> list[dict[str, Any]]:
    """Return one row per stage, and one for all that a training stage loads."""
    names = scale.stages or tuple(sorted(path.stem for path in (PROJECT / "stages").glob("*.py")))
    sides = {name: _help(name) for name in names}
    sides |= {"everything": lambda repeat: start("-c", EVERYTHING), "keras": lambda repeat: start("-c", KERAS)}
    found = alternate(sides, scale.repeats, "starts")
    keras = [side.seconds for side in found.pop("keras")]
    return [
        compare(
            "training stage, everything loaded" if name == "everything" else f"stage {name}, start",
            "s",
            [side.seconds for side in starts],
            keras,
            other_name="import keras",
            modules=starts[0].modules,
            loads_tensorflow=starts[0].tensorflow,
        )
        for name, starts in found.items()
    ]


def _help(stage: str) -> Any:
    return lambda repeat: start("-c", HELP, PROJECT / "stages" / f"{stage}.py", "--help")


def measure_pipeline(repeats: int) -> list[dict[str, Any]]:
    """Return the rows of `dvc repro` with nothing to do and with one variant changed, beside the whole run."""
    with tempfile.TemporaryDirectory(prefix="startup-") as name:
        project = Path(name) / "project"
        environment = copy_project(project, TINY)
        watch(["git", "init", "--quiet"], project, environment)
        repro = ["dvc", "repro"]
        whole = watch(repro, project, environment).seconds
        nothing = [watch(repro, project, environment).seconds for _ in range(repeats)]
        changed = []
        for repeat in range(repeats):
            change_params(project, {"variants.dropout.dropout": 0.3 + repeat / 100})
            changed.append(watch(repro, project, environment).seconds)
    return [
        compare(f"dvc repro, {what}", "s", seconds, [whole] * repeats, other_name="the whole tiny pipeline")
        for what, seconds in (("nothing to do", nothing), ("one of two variants changed", changed))
    ]


def main() -> None:
    """Measure and write the result."""
    arguments = parse_arguments(__doc__, {"toy": "1 minute", "short": "5 minutes", "full": "10 minutes"})
    scale = SCALES[arguments.scale]
    rows = measure_stages(scale)
    if scale.pipeline:
        rows += measure_pipeline(scale.repeats)
    write_result(arguments, rows)


if __name__ == "__main__":
    main()
