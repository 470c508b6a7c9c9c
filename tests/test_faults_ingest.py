"""What the fuzzer of bench/fuzz_ingest.py has found, and that it finds nothing in a short run."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny import PROJECT, environment
from tiny_dataset import encoded, picture

from convnet.archives import open_archive
from convnet.images import BadImage


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_damaged_in_its_compressed_bytes_is_a_bad_image(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    content = encoded(picture(1), "BMP")
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("cat/1.bmp", content)
        archive.writestr("cat/2.bmp", content)
    data = bytearray(path.read_bytes())
    start = data.index(b"cat/1.bmp") + len("cat/1.bmp")
    data[start + 40 : start + 80] = b"\xff" * 40
    path.write_bytes(data)
    with open_archive(path) as opened:
        read = dict(opened.read_all())
        with pytest.raises(BadImage, match="damaged"):
            opened.read("cat/1.bmp")
    assert isinstance(read["cat/1.bmp"], BadImage)
    assert read["cat/2.bmp"] == content


def test_five_hundred_damaged_files_are_read_or_refused_in_one_sentence() -> None:
    code = (
        "import sys, tempfile\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(PROJECT / 'bench')!r})\n"
        "import fuzz_ingest, json\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    for number in range(500):\n"
        "        print(json.dumps(fuzz_ingest.judge(*fuzz_ingest.make_input(1, number), Path(folder))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == 500
    assert not [event for event in verdicts if event["verdict"] == "finding"]
    assert {"pictures read", "pictures refused", "archives read", "archives refused"} == {
        e["verdict"] for e in verdicts
    }
    assert done.stderr == "", "no decoder writes past the program"
