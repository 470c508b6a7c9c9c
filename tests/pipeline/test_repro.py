"""What a run prints at its end, and what DVC does not print."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from convnet.comparison.verdict import verdict
from convnet.pipeline.repro import PAGE, VERDICTS, closing_lines
from convnet.system.errors import UserError
from convnet.system.files import write_json
from helpers.evaluations import make_evaluations, typed
from helpers.tiny_study import PROJECT, environment

DRIVER = "import sys; from convnet.system.dvc_command import run_dvc; sys.exit(run_dvc(*sys.argv[1:]))"


def test_places_are_those_of_the_pipeline() -> None:
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"]
    assert str(VERDICTS.parent) in stages["compare"]["outs"]
    assert str(PAGE) in stages["report"]["outs"]


def test_last_lines_are_the_verdict_the_seconds_and_the_page(tmp_path: Path) -> None:
    evaluations = typed(*make_evaluations(1, 4, 3))
    against = {e.variant: ("baseline",) for e in evaluations if e.variant != "baseline"}
    found = verdict(evaluations, [], {"baseline": (), **against}, 0.02)
    write_json(tmp_path / "verdict.json", {"pets": found.model_dump()})
    first, second, last = closing_lines(tmp_path / "verdict.json", 192.6)
    assert first.startswith("On pets (rendered images) ")
    assert "\n" not in first + second
    assert last == "193 s; open reports/index.html"


def test_missing_verdicts_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"verdict\.json is missing; run `dvc repro`"):
        closing_lines(tmp_path / "verdict.json", 1.0)


def test_advice_on_a_remote_comes_only_with_a_remote(tmp_path: Path) -> None:
    variables = environment() | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "cache")}

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-c", DRIVER, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
        ).stdout  # fmt: skip

    dvc("init", "--quiet", "--no-scm")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"one": {"cmd": "true"}}}))
    assert dvc("repro", "--force").splitlines()[-1] == "Updating lock file 'dvc.lock'"
    dvc("remote", "add", "storage", str(tmp_path / "storage"))
    assert dvc("repro", "--force").splitlines()[-1] == "Use `dvc push` to send your updates to remote storage."
