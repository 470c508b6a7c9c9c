import argparse
import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tiny_study import start_keras

start_keras()

from convnet.cli.main import main  # noqa: E402
from helpers.saved_variant import write_variant  # noqa: E402
from helpers.tiny_dataset import encoded, picture  # noqa: E402

COMMANDS = ("predict", "evaluate", "export", "init", "train", "decide", "preset", "prune")


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_variant(tmp_path_factory.mktemp("models") / "baseline", seeds=(0, 1))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number, name in enumerate(["blue", "green"] * 3):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{number}.png").write_bytes(encoded(picture(number)))
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["convnet", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_predict_writes_csv_to_standard_output_and_counts_to_the_other(variant, photos, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "predict", variant, photos) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(out.splitlines()))
    assert [Path(row["path"]).name for row in rows] == [f"{n}.png" for n in (0, 2, 4, 1, 3, 5)]
    assert float(rows[0]["probability_blue"]) + float(rows[0]["probability_green"]) == pytest.approx(1, abs=1e-5)
    assert err.splitlines()[-1] == "6 images predicted, 0 files could not be used"


def test_model_of_rendered_images_is_named_once(photos, tmp_path, monkeypatch, capsys) -> None:
    folder = write_variant(tmp_path / "rendered", kind="rendered")
    assert run(monkeypatch, "predict", folder, photos) == 0
    out, err = capsys.readouterr()
    assert err.count("this model learnt from rendered images") == 1
    assert "learnt from" not in out


def test_predict_writes_lines_of_json_to_a_file(variant, photos, tmp_path, monkeypatch, capsys) -> None:
    output = tmp_path / "new folder" / "out.jsonl"
    assert run(monkeypatch, "predict", variant, photos, "--format", "jsonl", "--output", output, "--seed", "1") == 0
    assert capsys.readouterr().out == ""
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert {row["class"] for row in rows} <= {"blue", "green"}
    assert len(rows) == 6


def test_seeds_and_calibration_change_the_probabilities(variant, photos, monkeypatch, capsys) -> None:
    texts = []
    for options in ([], ["--seed", "1"], ["--calibrated"]):
        assert run(monkeypatch, "predict", variant, photos, *options) == 0
        texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 3


def test_strict_ends_with_one_after_all_rows_are_written(variant, photos, monkeypatch, capsys) -> None:
    (photos / "bad.png").write_text("no image")
    assert run(monkeypatch, "predict", variant, photos) == 0
    lenient = capsys.readouterr()
    assert run(monkeypatch, "predict", variant, photos, "--strict") == 1
    strict = capsys.readouterr()
    assert strict.out == lenient.out
    assert len(strict.out.splitlines()) == 8
    assert "1 files could not be used" in strict.err


def test_evaluate_prints_a_table_or_json(variant, photos, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "evaluate", variant, photos) == 0
    table = capsys.readouterr().out
    assert "6 images: accuracy" in table
    assert "true \\ predicted" in table
    assert run(monkeypatch, "evaluate", variant, photos, "--format", "json") == 0
    result = json.loads(capsys.readouterr().out)
    assert f"accuracy {100 * result['accuracy']:.1f} %" in table
    assert set(result["recall"]) == {"blue", "green"}


def test_evaluate_names_a_bad_picture_in_json_whatever_its_name(variant, photos, monkeypatch, capsys) -> None:
    bad = photos / "blue" / os.fsdecode(b"caf\xe9-B\xc3\xa4ume.png")
    bad.write_text("no image")
    assert run(monkeypatch, "evaluate", variant, photos, "--format", "json") == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert [entry["image"] for entry in json.loads(out)["rejected"]] == [str(bad)]
    assert run(monkeypatch, "evaluate", variant, photos) == 0
    assert "caf\\udce9-Bäume.png: text file, not an image" in capsys.readouterr().out


def test_export_names_its_files_and_the_difference(variant, photos, tmp_path, monkeypatch, capsys) -> None:
    output = tmp_path / "exported"
    options = ("--to", "saved_model", "--output", output, "--images", photos)
    assert run(monkeypatch, "export", variant, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("largest difference of a probability on 6 images: ")
    assert (tmp_path / "exported.labels.json").is_file()


@pytest.mark.parametrize(
    ("to", "name", "package"),
    [
        ("onnx", "tiny.onnx", "tf2onnx"),
        ("litert", "tiny.tflite", "ai_edge_litert"),
        ("saved_model", "tiny_saved_model", "keras"),
    ],
)
def test_export_without_output_is_named_after_the_dataset(
    variant, tmp_path, monkeypatch, capsys, to: str, name: str, package: str
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip("the extra [export] is not installed")
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "export", variant, "--to", to) == 0
    assert capsys.readouterr().out.startswith(f"{name} and {name}.labels.json are written\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocess.py", name, f"{name}.labels.json"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["predikt"], "invalid choice: 'predikt'"),
        (["predict"], "the following arguments are required: MODEL, PATH"),
        (["predict", "nothing.keras", "."], "the model nothing.keras is missing"),
        (["predict", ".", "."], "it lacks job.json"),
        (["evaluate", "nothing.keras", "."], "the model nothing.keras is missing"),
        (["export", "nothing.keras", "--to", "onyx", "--output", "x"], "invalid choice: 'onyx'"),
        (["export", "nothing.keras", "--to", "onnx"], "the model nothing.keras is missing"),
        (["export", "nothing.keras"], "the following arguments are required: --to"),
        (["init", "nothing\x1b[2J"], "params.yaml is missing"),
        (["predict", "\x1b[2J.keras", "."], r"the model \x1b[2J.keras is missing"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert err.rstrip("\n").isprintable()


def test_wrong_inputs_are_one_sentence(variant, photos, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "file").touch()
    purple = tmp_path / "labelled" / "purple"
    purple.mkdir(parents=True)
    (purple / "a.png").write_bytes(encoded(picture(0)))
    for arguments, sentence in (
        (["predict", variant, photos / "nothing"], "neither a file nor a folder"),
        (["predict", variant, photos, "--output", tmp_path / "file" / "out.csv"], "cannot be used"),
        (["predict", variant / "seed-0.keras", photos, "--seed", "1"], "--seed chooses among"),
        (["evaluate", variant, purple.parent], "holds the class 'purple'"),
        (["export", variant, "--to", "onnx", "--output", tmp_path / "x.bin"], "must end in .onnx"),
    ):
        assert run(monkeypatch, *arguments) == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1, err
        assert err.startswith("error: ")
        assert sentence in err


def test_every_command_is_tested_here() -> None:
    from convnet.cli.main import build_parser

    (commands,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert tuple(commands.choices) == COMMANDS


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_has_an_example_that_the_parser_takes(name: str | None, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *filter(None, [name]), "--help") == 0
    text = capsys.readouterr().out
    example = text.rpartition("example:\n  ")[2].strip()
    assert example.startswith(f"convnet {name} " if name else "convnet ")
    from convnet.cli.main import build_parser

    assert callable(build_parser().parse_args(example.split(" && ")[0].split()[1:]).run)


def test_reader_that_stops_early_is_no_error(variant: Path, photos: Path) -> None:
    """`head -1` closes the pipe; here it is closed before the first line, in a process of its own."""
    for number in range(6, 40):
        (photos / f"{'long name ' * 20}{number}.txt.png").write_text("no image")
    command = [sys.executable, "-m", "convnet.cli.main", "predict", variant, photos]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait() == 0, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    process.stderr.close()
