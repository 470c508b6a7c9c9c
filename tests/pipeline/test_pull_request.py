"""The workflow for a pull request names what there is."""

import re

import yaml

from helpers.tiny_study import PROJECT

TEXT = (PROJECT / "docs" / "pull_request.yml").read_text("utf-8")


def test_workflow_uses_targets_and_files_of_the_project() -> None:
    steps = yaml.safe_load(TEXT)["jobs"]["study"]["steps"]
    commands = " ".join(step.get("run", "") for step in steps)
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make (\w+)", commands):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    outputs = str(yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"])
    for name in ("reports/summary.md", "metrics.json"):
        assert name in commands
        assert name in outputs


def test_summary_without_its_figures_is_left_whole() -> None:
    pattern = re.search(r"sed '/(.*?)/d'", TEXT)
    assert pattern is not None
    lines = (PROJECT / "reports" / "summary.md").read_text("utf-8").splitlines()
    kept = [line for line in lines if not re.search(pattern[1], line)]
    assert [line for line in lines if line not in kept] == [line for line in lines if "](figures/" in line]
