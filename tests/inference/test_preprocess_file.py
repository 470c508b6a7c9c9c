"""`preprocess.py` gives the pixels of the pipeline, and the lines of docs/predict.md its probabilities."""

import importlib.util
import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.tiny_study import PROJECT, start_keras

start_keras()

from convnet.data.decoding import DEFAULT_LIMITS, load_image  # noqa: E402
from convnet.data.image_faults import BadImage  # noqa: E402
from convnet.evaluation.model_selection import choose_best  # noqa: E402
from convnet.inference.export import export_model  # noqa: E402
from convnet.inference.predict import Counts, predict_files  # noqa: E402
from convnet.inference.preprocess_file import write_preprocess  # noqa: E402
from helpers.saved_variant import write_variant  # noqa: E402
from helpers.tiny_dataset import encoded, picture  # noqa: E402

SIZE = (40, 48)
CLASSES = ("blue", "green", "red")
WITHOUT_CONVNET = "import sys; sys.modules['convnet'] = None\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    path = write_preprocess(tmp_path_factory.mktemp("preprocess"))
    spec = importlib.util.spec_from_file_location("preprocess", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def samples() -> dict[str, bytes]:
    turned = Image.Exif()
    turned[0x0112] = 6
    photograph = picture(0, (300, 200))
    alpha = photograph.convert("RGBA")
    alpha.putalpha(photograph.convert("L"))
    grey = Image.fromarray(np.asarray(photograph.convert("L")).astype(np.uint16) * 40)
    return {
        "plain.png": encoded(photograph),
        "large.jpg": encoded(picture(1, (900, 700)), "JPEG"),
        "turned.jpg": encoded(photograph, "JPEG", exif=turned),
        "cmyk.jpg": encoded(photograph.convert("CMYK"), "JPEG"),
        "grey.jpg": encoded(photograph.convert("L"), "JPEG"),
        "alpha.png": encoded(alpha),
        "palette.png": encoded(photograph.convert("P"), transparency=3),
        "deep.png": encoded(grey),
        "deep.tif": encoded(grey, "TIFF"),
        "one_bit.png": encoded(photograph.convert("1")),
        "a.webp": encoded(alpha, "WEBP"),
        "a.gif": encoded(photograph, "GIF"),
    }


def labels_of(**prepare: Any) -> dict[str, Any]:
    usual = {"background": "white", "grey_range": "full", "resize": "stretch"}
    return {"input": {"image_size": list(SIZE), "prepare": usual | prepare}}


@pytest.mark.parametrize("name", samples())
def test_pixels_are_those_of_the_pipeline(name: str, written: ModuleType, tmp_path: Path) -> None:
    data = samples()[name]
    (tmp_path / name).write_bytes(data)
    for resize, background, grey_range in product(
        ("stretch", "pad", "crop"), ("white", "black", "mean"), ("full", "auto", [100, 9000])
    ):
        prepare = {"resize": resize, "background": background, "grey_range": grey_range}
        found = written.load_image(tmp_path / name, labels_of(**prepare))
        expected = load_image(data, name, SIZE, DEFAULT_LIMITS.model_validate(DEFAULT_LIMITS.model_dump() | prepare))
        assert (found.shape, found.dtype) == ((1, *SIZE, 3), np.float32)
        np.testing.assert_array_equal(found[0], expected.astype(np.float32))


def test_odd_images_have_the_pixels_of_the_pipeline(written: ModuleType, convnet_data: Path) -> None:
    folder = convnet_data.resolve().parent / "odd_images"
    if not folder.is_dir():
        pytest.skip("no odd_images beside CONVNET_DATA")
    compared = 0
    for path in sorted(folder.iterdir()):
        try:
            expected = load_image(path.read_bytes(), path.name, SIZE)
        except BadImage:
            continue
        np.testing.assert_array_equal(written.load_image(path, labels_of())[0], expected, err_msg=path.name)
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize("program", [0, 1], ids=["onnxruntime", "keras"])
def test_lines_of_the_documents_give_the_probabilities_of_predict(program: int, tmp_path: Path) -> None:
    lines = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "predict.md").read_text("utf-8"), re.DOTALL)[program]
    assert sum(map(bool, lines.splitlines())) <= (5 if program else 10)
    folder = write_variant(tmp_path / "models" / "baseline", CLASSES, dataset="photos")
    use = tmp_path / "use"
    if program == 0:
        pytest.importorskip("onnxruntime", reason="the extra [export] is not installed")
        pytest.importorskip("tf2onnx", reason="the extra [export] is not installed")
        use.mkdir()
        export_model(folder / "seed-0.keras", "onnx", use / "photos.onnx")
    else:
        choose_best(tmp_path / "models", ["baseline"], "photographs", use)
        write_preprocess(use)
    names = [f"{number}.jpg" for number in range(1, 11)]
    for number, name in enumerate(names):
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        (use / name).write_bytes(encoded(picture(number, (200 + 40 * number, 300)), "JPEG", exif=exif))
    listed = json.dumps(names)
    text = lines.replace('["1.jpg", "2.jpg"]', listed)
    if program == 1:
        text = text.replace('print(labels["classes"], model.predict(load_image("1.jpg", labels)))', "")
        text += f"for name in {listed}: print(name, '-', *model.predict(load_image(name, labels), verbose=0)[0])\n"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CONVNET + text], cwd=use, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = [[float(value) for value in line.split()[2:]] for line in done.stdout.splitlines() if ".jpg " in line]
    rows = predict_files(folder / "seed-0.keras", [use / name for name in names], False, "jsonl", Counts())
    expected = [list(json.loads(row)["probabilities"].values()) for row in rows]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-3)
