"""How much do image size, way of resizing, cut and backbone decide? Transfer and a linear probe on few photographs.

    CONVNET_DATA=<folder of the archives> python -m bench.correctness.image_sizes --folder <new folder>

cats_vs_dogs with 200 training photographs of each class, 50 for validation and 150 for the test. Weights come from the
folder `weights` beside the archives. A stopped run resumes when the same folder is named again.
The result is bench/results/image_sizes.json.
"""

import argparse
import os
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

from bench.lib.material import PROJECT
from bench.lib.numbers import RESULTS
from bench.lib.photographs import CLASSES, write_photographs
from bench.lib.studies import facts_of_run
from convnet.data.arrays import prepare_arrays, size_name
from convnet.data.manifest import build_manifest
from convnet.data.sources import bring_sources
from convnet.engine.variants import train_variants
from convnet.evaluation.evaluate import evaluate
from convnet.features.dataset import bring_dataset
from convnet.jobs.feature_plan import plan_features
from convnet.jobs.feature_sets import FeatureSet, features_folder
from convnet.params.load import load_params
from convnet.params.recipe import other_sizes
from convnet.params.schema import Params
from convnet.system.files import read_json, write_json

KEPT = {"validation": 50, "test": 150}  # of each class
WAYS = {"stretched": ((150, 150), "stretch"), "cropped": ((224, 224), "crop")}
BACKBONES = {
    "mixed7": {"backbone": "inception_v3", "last_layer": "mixed7"},
    "mixed8": {"backbone": "inception_v3", "last_layer": "mixed8"},
    "mobilenet": {"backbone": "mobilenet_v2"},
}
HEADS: dict[str, dict[str, Any]] = {"transfer": {"pooling": "average"}, "probe": {"pooling": "average", "probe": True}}


def main() -> None:
    """Make the features, train the heads, and write accuracies and bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the photographs, features and models")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), help="ways of resizing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result file")
    arguments = parser.parse_args()
    out, facts = arguments.out.resolve(), facts_of_run(arguments)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.folder)
    if not Path("photographs").exists():
        _write_fewer(Path("photographs"))
    rows = []
    for way in arguments.only:
        params = _params(way, arguments.seeds)
        rows += _study(params, way)
        for row in rows[-len(params.run.variants) :]:
            print(row)
    write_json(out / "image_sizes.json", {**facts, "rows": rows})


def _write_fewer(folder: Path) -> None:
    write_photographs(folder)
    for split, most in KEPT.items():
        for name in CLASSES:
            for path in sorted((folder / split / name).iterdir())[most:]:
                path.unlink()


def _params(way: str, seeds: int) -> Params:
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    size, resize = WAYS[way]
    settings["variants"] = {"baseline": {}} | {
        f"{head}_{cut}": {"transfer": True, **backbone, **changes}
        for cut, backbone in BACKBONES.items()
        for head, changes in HEADS.items()
    }
    names = [name for name in settings["variants"] if name != "baseline"]
    settings["run"] |= {
        "datasets": [way],
        "seeds": list(range(seeds)),
        "pixel_variants": [],
        "feature_variants": names,
        "fine_tune_variants": [],
    }
    settings["fine_tune"]["start"] = names[0]
    settings["sweep"]["variants"] = []
    settings["images"]["resize"] = resize
    settings["datasets"] = {
        way: {
            "kind": "photographs",
            "source": {"folder": "photographs"},
            "image_size": list(size),
            "backbone": "inception_v3",
        }
    }
    Path("params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    return load_params()


def _study(params: Params, way: str) -> list[dict[str, Any]]:
    """Run the stages up to the evaluation; return one row per variant."""
    place = Path(way)
    arrays, backbones, features, models = (place / name for name in ("arrays", "backbones", "features", "models"))
    dataset = params.datasets[way]
    if not (arrays / "dataset.json").exists():
        bring_sources(way, dataset, place / "archives")
        manifest, _ = build_manifest(place / "archives", limits=params.images, split=params.split_rules(way))
        for size in (dataset.image_size, *other_sizes(params, way)):
            folder = arrays if size == dataset.image_size else arrays / size_name(size)
            prepare_arrays(manifest, place / "archives", size, params.images, folder)
    bring_dataset(params, way, plan_features(params, way), arrays, backbones, features)
    train_variants(params, arrays, features, backbones, models)
    rows = []
    for variant in params.run.variants:
        found = evaluate(arrays, models / variant, features)
        used = FeatureSet(found.backbone or "", found.recipe["last_layer"], found.recipe["image_size"])
        made = features_folder(features, used)
        test = [run.splits["test"].accuracy for run in found.seeds]
        rows.append(
            {
                "variant": variant,
                "resize": params.images.resize,
                "image_size": found.recipe["image_size"],
                "backbone": found.backbone,
                "last_layer": found.recipe["last_layer"],
                "test_accuracy": round(fmean(test), 4),
                "standard_deviation": round(stdev(test), 4) if len(test) > 1 else None,
                "test_images": found.counts["test"],
                "features_bytes": sum(path.stat().st_size for path in made.glob("*.npy")),
                "seconds_of_features": read_json(made / "timing.json")["seconds"],
                "seconds_of_heads": round(found.seconds.training, 1),
                "model_bytes": found.model_bytes,
            }
        )
    return rows


if __name__ == "__main__":
    main()
