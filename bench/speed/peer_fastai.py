"""fastai on torch's CPU build beside this program: one seed and five, plain and augmented.

    python -m bench.speed.peer_fastai --python <environment>/bin/python                 some minutes
    python -m bench.speed.peer_fastai --python <environment>/bin/python --scale full    if CONVNET_DATA is set
    python -m bench.speed.peer_fastai --python ... --case plain                         one of two, a result of its own

torch is not in this project's environment. An environment of its own takes the group `fastai` of pyproject.toml:

    python3.11 -m venv <environment>
    .venv/bin/python -m pip --python <environment>/bin/python install --group fastai

CONVNET_FASTAI may name its Python instead of --python; without both, nothing is measured. The group asks for torch's
CPU build, so it needs an index that has it: 380 MB to download, 1.5 GiB on the disk, with all that fastai requires.

fastai's way (bench/lib/fastai_way.py): ImageDataLoaders with its own number of worker processes, images squished to
size, aug_transforms on batches, Learner with RMSProp and float32, fit. Both sides have the same network, batch of 20,
epochs, seeds, images and learning rate, and take turns in processes of their own. fastai has two outputs with softmax
where ours has a sigmoid, starts from torch's random weights, and drops a last batch that is not full.

Ours is timed and trained as in bench/speed/peer_modern.py: one seed with all cores, five two at once. fastai trains one
after the other. Its seconds hold building, training, validation and the exported model, not imports. Transfer is left
out: a pretrained network for torch is a download of its own, and not the same network.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.lib.fastai_way import Plan
from bench.lib.material import BATCH_SIZE, LEARNING_RATES, PROJECT, SMALL, Trained
from bench.lib.numbers import announce, make_parser, write_result
from bench.speed.peer_modern import SCALES, Task, bring_images, measure, our_sides

CASES = ("plain", "augmented")
DENSE = 512  # of bench.lib.material
VARIABLE = "CONVNET_FASTAI"


class Fastai:
    """A process of another Python that trains with fastai; idle while the others work."""

    def __init__(self, python: Path) -> None:
        """Start it, and wait until it has imported everything."""
        self._python = str(python.absolute())  # a link of an environment is not followed
        command = [self._python, "-m", "bench.lib.fastai_way"]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        versions = json.loads(self._answer())
        self.name = f"fastai {versions['fastai']} on torch {versions['torch']}"

    def train(self, task: Task, epochs: int, seed: int) -> Trained:
        """Train one seed."""
        plan = Plan(
            str(task.folder / "files"), list(task.scale.image_size), task.case == "augmented", list(SMALL), DENSE,
            LEARNING_RATES[SMALL], BATCH_SIZE, epochs, seed,
        )  # fmt: skip
        assert self._process.stdin is not None
        print(json.dumps(plan._asdict()), file=self._process.stdin, flush=True)
        return Trained(**json.loads(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise RuntimeError(f"{self._python} ended with {self._process.returncode}; its error is above")
        return line

    def __enter__(self) -> Self:
        """Return the running side."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process: its input ends."""
        self._process.communicate()


def main() -> None:
    """Bring the images, train in turns, write the result."""
    parser = make_parser(__doc__)
    python = os.environ.get(VARIABLE)
    parser.add_argument("--python", type=Path, default=python and Path(python), help="Python that has fastai")
    parser.add_argument("--case", choices=CASES, help="measure this one only")
    arguments = parser.parse_args()
    if arguments.python is None:
        print(f"nothing measured: neither --python nor {VARIABLE} names a Python with fastai", file=sys.stderr)
        return
    announce(arguments.scale, {"toy": "1 minute", "short": "6 minutes", "full": "20 minutes"})
    scale = SCALES[arguments.scale]
    with tempfile.TemporaryDirectory(prefix="peer-fastai-") as temporary, Fastai(arguments.python) as peer:
        folder = Path(temporary)
        facts = bring_images(folder, scale)
        with our_sides() as sides:
            cases = [arguments.case] if arguments.case else CASES
            tasks = [Task(case, scale, folder, None) for case in cases]
            found = [row for task in tasks for row in measure(task, sides, peer.name, peer.train)]
    name = f"peer_fastai_{arguments.case}" if arguments.case else None
    write_result(arguments, found, name=name, **facts)


if __name__ == "__main__":
    main()
