"""Facts of the machine a training runs on."""

import importlib
import importlib.metadata
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = ("keras", "tensorflow", "jax", "numpy")


def machine_facts() -> dict[str, Any]:
    """Describe the machine, without loading Keras.

    Returns:
        processor (model name), cores (of the machine), memory_gib (None if unknown), gpu (model name or None), python,
        and the version of each of `PACKAGES` that is installed.
    """
    facts: dict[str, Any] = {
        "processor": _processor_field("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gib": _memory_gib(),
        "gpu": _nvidia_model(),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


@cache
def say_once(line: str) -> None:
    """Print a line to standard error, once in a process however many jobs it runs."""
    print(line, file=sys.stderr)


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, macOS no SC_PHYS_PAGES
        return None


def _processor_field(name: str) -> str:
    """Return a field of the first processor in /proc/cpuinfo, or "" where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def _nvidia_model() -> str | None:
    """Return the NVIDIA driver's name of the first GPU, or None without a driver."""
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in path.read_text("utf-8", "replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return None
