"""`dvc repro` with stages that start with their libraries loaded (warm_start.py)."""

import signal
import subprocess
import sys

from convnet.pipeline.warm_start import warm_server
from convnet.system.errors import command


@command
def main() -> None:
    """Run `dvc repro` with the words that this command was given, and end as it ends."""
    with warm_server() as environment:
        process = subprocess.Popen(("dvc", "repro", *sys.argv[1:]), env=environment)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches dvc as well, whose end is waited for
        code = process.wait()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
