"""What the fuzzer of bench/correctness/fuzz_ingest.py has found, and that it finds nothing in a short run."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from convnet.data.archives import open_archive
from convnet.data.image_faults import BadImage
from helpers.tiny_dataset import encoded, picture
from helpers.tiny_study import PROJECT, environment


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
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


def test_five_hundred_damaged_files_are_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(PROJECT)!r})\n"
        "from bench.correctness import fuzz_ingest\n"
        f"print(json.dumps(fuzz_ingest.run_round(Path({str(tmp_path)!r}), seed=1, number=0)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts, finding = json.loads(done.stdout)
    assert finding is None
    assert set(counts) == {"images read", "images refused", "archives read", "archives refused"}
    assert sum(counts.values()) == 500
    assert done.stderr == "", "no decoder writes past the program"


def test_fuzzer_reports_the_simplest_file_that_no_sentence_foresees(tmp_path: Path) -> None:
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(PROJECT)!r})\n"
        "from bench.correctness import fuzz_ingest\n"
        "def load_image(content, *_):\n"
        "    if content[:2] == b'BM':\n"
        "        raise ZeroDivisionError('planted')\n"
        "    return fuzz_ingest.np.zeros((32, 32, 3), 'uint8')\n"
        "fuzz_ingest.load_image = load_image\n"
        f"print(json.dumps(fuzz_ingest.run_round(Path({str(tmp_path)!r}), seed=1, number=0)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, finding = json.loads(done.stdout)
    assert "ZeroDivisionError: planted" in finding
    assert [path.name for path in tmp_path.iterdir()] == ["a.bmp"]
    with Image.open(tmp_path / "a.bmp") as image:
        assert image.size == (8, 8)  # the smallest that is drawn
