"""Hostile files beside CONVNET_DATA: each is read or refused within limits of time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS, MEGABYTES = 2.0, 500.0
ATTACKS = {
    "ifds40000.zip": "first of more than 100 frames",
    "pax_digits.tgz": "bytes",
    "scans.jpg": "JPEG scans, more than the allowed 100",
    "short_data_1000x1000.jpg": "the JPEG data end long before 1000x1000 pixels are complete",
}
# CPU seconds, without those of the imports, because other processes share the machine.
CHILD = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_DATA, (2**31, 2**31))
from pathlib import Path
from convnet.data.archives import open_archive
from convnet.data.decoding import decode
from convnet.data.file_types import describe_content
from convnet.data.image_faults import BadImage
from convnet.system.errors import UserError
said = []
def read(name, content):
    if isinstance(content, BadImage):
        said.append(str(content))
        return
    try:
        said.append(decode(content, name).note or "")
    except BadImage as fault:
        said.append(str(fault))
def examine(path):
    if path.suffix not in (".zip", ".tgz"):
        return read(path.name, path.read_bytes())
    try:
        with open_archive(path) as archive:
            for name, content in archive.read_all():
                read(name, content)
    except UserError as fault:
        said.append(str(fault))
seconds = []
for name in sys.argv[1:]:
    start = time.process_time()
    examine(Path(name))
    seconds.append(time.process_time() - start)
# Not ru_maxrss, which starts at the memory of the process that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
megabytes = int(peak.split()[1]) / 1024
print(json.dumps({"said": said, "seconds": max(seconds), "megabytes": megabytes}))
"""


def in_a_child(*paths: Path) -> dict:
    done = subprocess.run([sys.executable, "-c", CHILD, *map(str, paths)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def folder_of(convnet_data: Path, name: str) -> Path:
    folder = convnet_data.resolve().parent / name
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist: it holds hostile or odd files")
    return folder


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_bounded(name: str, convnet_data: Path) -> None:
    path = folder_of(convnet_data, "attacks") / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {path.parent}")
    found = in_a_child(path)
    assert any(ATTACKS[name] in line for line in found["said"]), found["said"][:3]
    assert found["seconds"] < SECONDS
    assert found["megabytes"] < MEGABYTES


def test_odd_images_are_bounded(convnet_data: Path) -> None:
    found = in_a_child(*sorted(folder_of(convnet_data, "odd_images").iterdir()))
    assert found["seconds"] < SECONDS
    assert found["megabytes"] < MEGABYTES
