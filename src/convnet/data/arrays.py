"""Pack images into arrays: decoded and resized once, then read by all variants through memory maps."""

import io
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convnet.data.archives import Key, read_members
from convnet.data.decoding import load_image
from convnet.data.grey import resolved
from convnet.data.image_faults import BadImage
from convnet.data.splits import SPLITS, images_at
from convnet.params.data import Images
from convnet.params.recipe import resolve
from convnet.params.schema import Params
from convnet.system.errors import UserError
from convnet.system.files import atomic_path, file_digest, json_digest, read_json, write_json
from convnet.system.processes import FEWEST_FOR_PROCESSES, map_in_processes, usable_cores
from convnet.system.progress import progress

if TYPE_CHECKING:
    import pandas as pd  # most users of this module only load arrays, and start faster without it

FILES = ("images.npy", "labels.npy", "groups.npy")


@dataclass(frozen=True)
class Arrays:
    """One split of a dataset.

    Attributes:
        images: uint8 (n, height, width, 3), memory-mapped, 0 to 255.
        labels: int64 (n,), index into the sorted class names.
        groups: int64 (n,), equal for copies of one image, also across splits.
        members: n names in the archives, with the archive before them where there are several.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    members: list[str]


def prepare_arrays(
    manifest: "pd.DataFrame", archives: Path, image_size: tuple[int, int], limits: Images, destination: Path
) -> dict[str, Any]:
    """Decode the accepted images of a manifest and write them as arrays, one folder per split.

    Several processes decode, and this one writes. On a full disk a plain write raises an error; a write to a memory map
    ends the process (SIGBUS).

    Args:
        manifest: from `build_manifest` or `read_manifest`.
        archives: folder with the archives and sources.json.
        image_size: (height, width) in pixels.
        limits: on pixels and on the shortest side, as for the manifest.
        destination: the dataset's folder, `data/arrays/<dataset>`.

    Returns:
        The content of dataset.json: names, classes, image_size, preparation of pixels, counts, and the
        digest over all arrays.

    Raises:
        UserError: the disk is full, or an archive no longer fits the manifest.
    """
    sources = read_json(archives / "sources.json")
    limits = resolved(limits, manifest)
    used = manifest[manifest["verdict"] == "accepted"]
    parts = {split: used[used["split"] == split] for split in SPLITS}
    classes = sorted(used["class"].unique().tolist())
    several_archives = manifest["archive"].nunique() > 1
    (destination / "dataset.json").unlink(missing_ok=True)  # the folder is incomplete from here on
    _write_images(parts, archives, image_size, limits, destination, label=f"prepare {sources['dataset']}")
    for split, part in parts.items():
        folder = destination / split
        members = part["archive"] + "/" + part["member"] if several_archives else part["member"]
        _write_array(folder / "labels.npy", part["class"].map(classes.index).to_numpy(dtype=np.int64))
        _write_array(folder / "groups.npy", part["group"].to_numpy(dtype=np.int64))
        write_json(folder / "members.json", members.tolist())
    digests = {f"{split}/{name}": file_digest(destination / split / name) for split in SPLITS for name in FILES}
    dataset = {
        "dataset": sources["dataset"],
        "kind": sources["kind"],
        "classes": classes,
        "image_size": list(image_size),
        "images": limits.model_dump(mode="json", include={"grey_range", "background", "resize"}),
        "counts": {split: len(part) for split, part in parts.items()},
        "digest": json_digest(digests),
    }
    write_json(destination / "dataset.json", dataset)
    return dataset


def check_batch_sizes(params: Params, dataset: str, images: int, classes: int) -> None:
    """Raise before hours of work if a variant of the run or the sweep has too few images for one batch.

    Args:
        params: the whole of params.yaml.
        dataset: its name.
        images: number of training images.
        classes: number of their classes.

    Raises:
        UserError: a batch is larger; the message names the variant.
    """
    asked = [(variant, 1.0) for variant in params.run.variants]
    asked += [(variant, min(params.sweep.shares)) for variant in params.swept(dataset)]
    for variant, share in asked:
        batch_size = resolve(params, dataset, variant).fit.batch_size
        check_batch_size(f"{dataset}/{variant}", batch_size, images_at(share, images, classes), share)


def check_batch_size(label: str, batch_size: int, images: int, share: float = 1.0) -> None:
    """Raise if there are too few training images for one batch.

    Args:
        label: dataset and variant.
        batch_size: of its training.
        images: number of training images.
        share: of the size sweep; below 1 the message names it.

    Raises:
        UserError: the batch is larger.
    """
    if batch_size > images:
        where = "" if share == 1.0 else f" at the share {share:g} of the size sweep"
        raise UserError(
            f"{label}: batch_size is {batch_size}, but there are only {images} training images{where}; make it smaller "
            "in params.yaml"
        )


def arrays_of_size(folder: Path, image_size: tuple[int, int]) -> Path:
    """Return the folder of a dataset's arrays for images of one size; the main size has none of its own."""
    own = folder / size_name(image_size)
    return own if own.is_dir() else folder


def size_name(image_size: tuple[int, int]) -> str:
    """Return the name of the folder for arrays of another size than the dataset's."""
    height, width = image_size
    return f"{height}x{width}"


def load_arrays(folder: Path, split: str) -> Arrays:
    """Open the arrays of one split; images stay on disk until they are read.

    Args:
        folder: the dataset's folder, `data/arrays/<dataset>`.
        split: train, validation or test.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others.
    """
    dataset = read_json(folder / "dataset.json")
    count, (height, width) = dataset["counts"][split], dataset["image_size"]
    members = read_json(folder / split / "members.json")
    if len(members) != count:
        raise _damaged(folder / split / "members.json", f"{len(members)} names instead of {count}")
    return Arrays(
        images=_open_array(folder / split / "images.npy", np.dtype(np.uint8), (count, height, width, 3)),
        labels=np.array(_open_array(folder / split / "labels.npy", np.dtype(np.int64), (count,))),
        groups=np.array(_open_array(folder / split / "groups.npy", np.dtype(np.int64), (count,))),
        members=members,
    )


def _write_images(
    parts: dict[str, "pd.DataFrame"],
    archives: Path,
    image_size: tuple[int, int],
    limits: Images,
    destination: Path,
    label: str,
) -> None:
    positions = {
        key: (split, row)
        for split, part in parts.items()
        for row, key in enumerate(zip(part["archive"], part["member"], strict=True))
    }
    processes = usable_cores() if len(positions) >= FEWEST_FOR_PROCESSES else 1
    bytes_of_all = len(positions) * image_size[0] * image_size[1] * 3  # the files grow together
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        starts: dict[str, int] = {}
        for split, part in parts.items():
            path = stack.enter_context(atomic_path(destination / split / "images.npy", bytes_of_all))
            files[split] = stack.enter_context(path.open("wb"))
            shape = (len(part), *image_size, 3)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(files[split], header)
            starts[split] = files[split].tell()
        loaded = map_in_processes(partial(_load, image_size, limits), read_members(archives, positions), processes)
        done = 0
        for key, image in progress(loaded, total=len(positions), label=label):
            split, row = positions[key]
            files[split].seek(starts[split] + row * image.nbytes)
            files[split].write(image.tobytes())
            done += 1
        if done < len(positions):
            raise UserError(
                f"{len(positions) - done} images of the manifest have left the archives in {archives}; run `dvc repro`"
            )


def _load(
    image_size: tuple[int, int], limits: Images, file: tuple[Key, bytes | BadImage]
) -> tuple[Key, npt.NDArray[np.uint8]]:
    key, content = file
    archive, member = key
    try:
        if isinstance(content, BadImage):
            raise content
        return key, load_image(content, member, image_size, limits)
    except BadImage as fault:
        raise UserError(
            f"{member} in {archive} was accepted for the manifest but cannot be read now ({fault}); run `dvc repro`"
        ) from fault


def _write_array(path: Path, array: npt.NDArray[np.int64]) -> None:
    content = io.BytesIO()
    np.save(content, array)  # into a file NumPy writes by tofile, whose error on a full disk has no number
    with atomic_path(path, content.getbuffer().nbytes) as temporary:
        temporary.write_bytes(content.getbuffer())


def _open_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run `dvc repro` to make it") from error
    except (ValueError, EOFError, OSError) as error:
        raise _damaged(path, str(error)) from error
    if array.dtype != dtype or array.shape != shape:
        raise _damaged(path, f"{array.dtype} {array.shape} instead of {dtype} {shape}")
    return array


def _damaged(path: Path, fault: str) -> UserError:
    return UserError(f"{path} is damaged ({fault}); delete its folder and run `dvc repro`")
