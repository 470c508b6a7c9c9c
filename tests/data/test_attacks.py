"""Hostile files beside CONVNET_DATA: each is read or refused within limits of time and memory."""

import gzip
import io
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

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


def saved(form: str, size: tuple[int, int] = (20, 20), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, form, **options)
    return buffer.getvalue()


def chained_tiff() -> bytes:
    """150,000 empty directories, the last of which leads back to the first."""
    data = bytearray(saved("TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, len(data))
    for number in range(150_000):
        data += struct.pack("<HI", 0, len(data) + 6 if number < 149_999 else first)
    return bytes(data)


def png_of_texts() -> bytes:
    """900 compressed texts of 900 kB each."""
    content = b"zTXt" + b"a\0\0" + zlib.compress(bytes(900_000), 9)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    png = saved("PNG")
    return png[:33] + chunk * 900 + png[33:]


def gif_of_frames() -> bytes:
    """60,000 frames of one pixel on a screen of 49 megapixels."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return b"GIF89a" + struct.pack("<HH", 7000, 7000) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + frame * 60_000 + b"\x3b"


def bmp_of_negative_size() -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, -(2**31), -(2**31), 1, 24, *6 * (0,))
    )


def avif_of_another_size() -> bytes:
    data = bytearray(saved("AVIF", (64, 64)))
    struct.pack_into(">II", data, data.find(b"ispe") + 8, 60_000, 60_000)
    return bytes(data)


def overlapping_zip() -> bytes:
    """15,000 members that share the bytes of one."""
    packed = zlib.compress(bytes(15_000_000), 9)[2:-4]
    facts = (zlib.crc32(bytes(15_000_000)), len(packed), 15_000_000)
    body = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, *facts, 1, 0) + b"a" + packed
    central = b""
    for number in range(15_000):
        name = b"c/%05d.jpg" % number
        central += (
            struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 0, *facts, len(name), *6 * (0,)) + name
        )
    return body + central + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 15_000, 15_000, len(central), len(body), 0)


def gzip_bomb() -> bytes:
    return gzip.compress(bytes(500_000_000), 6)


def tar_of_folders() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for number in range(50_000):
            info = tarfile.TarInfo(f"c/{number}")
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
    return buffer.getvalue()


def tar_of_archives() -> bytes:
    """A large file before 100 archives, each of which is reached from the beginning of the gzip file."""
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w") as archive:
        archive.writestr("c/1.jpg", b"x")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in [("pad.bin", bytes(15_000_000)), *((f"{n}.zip", small.getvalue()) for n in range(100))]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "suffix", "answer"),
    [
        (chained_tiff, ".tif", "first of more than 100 frames"),
        (png_of_texts, ".png", "Too much memory used in text chunks"),
        (gif_of_frames, ".gif", "first of more than 100 frames"),
        (bmp_of_negative_size, ".bmp", "pixels, more than images.maximum_pixels"),
        (avif_of_another_size, ".avif", "damaged"),
        (overlapping_zip, ".zip", "brings the unpacked size above"),
        (gzip_bomb, ".tgz", "which no image does"),
        (tar_of_folders, ".tgz", "holds more than 20,000 files and folders"),
        (tar_of_archives, ".tgz", "archives inside a tar.gz takes too long"),
    ],
)
def test_made_attack_is_bounded(make: Callable[[], bytes], suffix: str, answer: str, tmp_path: Path) -> None:
    path = tmp_path / f"attack{suffix}"
    path.write_bytes(make())
    assert path.stat().st_size < 1_100_000
    found = in_a_child(path)
    assert any(answer in line for line in found["said"]), found["said"][:3]
    assert found["seconds"] < SECONDS
    assert found["megabytes"] < MEGABYTES
