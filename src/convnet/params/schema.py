"""params.yaml: what a user may change, checked before any work."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from convnet.params.backbone import Backbones
from convnet.params.combined import combine_variants
from convnet.params.data import Dataset, Images, Split
from convnet.params.derived import base_of, group_size
from convnet.params.messages import check_known, merge
from convnet.params.section import BASELINE, Language, Names, Positive, Section, Seed, SplitKind
from convnet.params.training import Augmentation, FineTune, Fit, Network, Transfer, Variant

Look = Annotated[int, Field(ge=3)]  # fewer seeds decide nothing
Numbers = Mapping[str, Mapping[str, int]]  # of seeds, by dataset and variant


class Run(Section):
    """What is run: the matrix of datasets, variants and seeds."""

    datasets: Annotated[Names, Field(min_length=1)]
    pixel_variants: Names
    feature_variants: Names
    fine_tune_variants: Names
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
    split: SplitKind = "fixed"
    margin: Annotated[float, Field(ge=0.0, le=100.0)] = 2.0  # points of accuracy; a smaller difference does not matter
    looks: tuple[Look, ...] = Field((), strict=False)  # numbers of seeds that are judged; empty: all seeds once

    @model_validator(mode="before")
    @classmethod
    def _former_key(cls, values: Any) -> Any:
        """Read `resplit: true`, the former name of `split: resplit`."""
        if not isinstance(values, dict) or not isinstance(values.get("resplit"), bool):
            return values
        rest = {key: value for key, value in values.items() if key != "resplit"}
        if values["resplit"] and rest.setdefault("split", "resplit") != "resplit":
            raise ValueError(f"resplit is true, the former name of split: resplit, but split is {rest['split']!r}; "
                             "remove resplit")  # fmt: skip
        return rest

    @field_validator("datasets", "pixel_variants", "feature_variants", "fine_tune_variants", "seeds")
    @classmethod
    def _unique(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("names an entry twice")
        return values

    @field_validator("looks")
    @classmethod
    def _rising(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if list(values) != sorted(set(values)):
            raise ValueError("must rise, as 3, 5, 10 do")
        return values

    @model_validator(mode="after")
    def _runs_something(self) -> "Run":
        if not self.variants:
            raise ValueError(
                "pixel_variants, feature_variants and fine_tune_variants are all empty; name a variant in one of them"
            )
        return self

    @model_validator(mode="after")
    def _has_folds(self) -> "Run":
        if self.split == "folds" and len(self.seeds) < 3:
            raise ValueError(f"split is folds, one for each seed, but seeds has {len(self.seeds)}; give at least 3")
        return self

    @property
    def declared_looks(self) -> tuple[int, ...]:
        """The looks; none with folds, where more seeds draw all folds again and one look judges them."""
        return () if self.split == "folds" else self.looks

    @property
    def own_splits(self) -> bool:
        """Whether every seed has its own split."""
        return self.split != "fixed"

    @property
    def variants(self) -> tuple[str, ...]:
        """All variants of the run, pixel variants first."""
        return self.pixel_variants + self.feature_variants + self.fine_tune_variants


class Robustness(Section):
    """Accuracy on perturbed copies of validation images."""

    images_per_split: Annotated[int, Field(ge=0)]  # at most; 0 switches it off


class Tuning(Section):
    """Settings that every variant of a dataset tries before the study; the validation loss chooses one."""

    trials: Annotated[int, Field(ge=0, le=64)] = 0  # 0 switches it off
    seed: Seed = 1000  # none of run.seeds


class Sweep(Section):
    """Training on nested subsets, to see how accuracy and gap depend on the number of images."""

    enabled: bool | Literal["rendered"]  # rendered: for the datasets that are rendered here
    shares: Annotated[tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...], Field(strict=False, min_length=1)]
    variants: Names


class Explain(Section):
    """Which images the explain stage makes."""

    images: Positive  # images shown, the same for all variants
    draws: Positive  # augmentation draws per image
    channels: Positive  # most active channels shown per layer


class Report(Section):
    """How the report is written."""

    language: Language = "en"  # of the page and its figures


class Checkpoints(Section):
    """How often a running job saves its state. It never changes a result."""

    seconds_between: Annotated[float, Field(ge=0.0)]


class Engine(Section):
    """Where jobs run, and what each may use. Of all this only `threads_per_job` changes result bits."""

    kind: Literal["local", "ray"]
    address: Annotated[str, Field(pattern=r"^[\w.-]+:[0-9]+$")] | None  # ray: null starts one on this machine
    parallel_jobs: Positive  # local: processes at once, as far as the cores allow
    threads_per_job: Positive  # fixed, since the number of threads changes result bits
    cpus_per_job: Positive  # ray: cores reserved for a job
    gpus_per_job: Annotated[float, Field(ge=0.0)]  # ray: 0.5 lets two jobs share one; 0 trains on the processor

    @field_validator("gpus_per_job")
    @classmethod
    def _whole_gpus(cls, value: float) -> float:
        if value > 1.0 and not value.is_integer():
            raise ValueError("more than one GPU must be a whole number of them")
        return value


class Params(Section):
    """The whole of params.yaml."""

    run: Run
    images: Images
    split: Split
    network: Network
    training: Fit
    augmentation: Augmentation
    transfer: Transfer
    fine_tune: FineTune
    variants: dict[str, Variant]
    backbones: Backbones
    datasets: dict[str, Dataset]
    robustness: Robustness
    sweep: Sweep
    tuning: Tuning = Tuning()
    explain: Explain
    report: Report = Report()
    checkpoints: Checkpoints
    engine: Engine
    _numbers: Numbers = PrivateAttr(default_factory=dict)  # of seeds.yaml, see params/seeds.py

    @property
    def numbers(self) -> Numbers:
        """Numbers of seeds by dataset and variant, where they are not that of run.seeds."""
        return self._numbers

    def with_numbers(self, numbers: Numbers) -> "Params":
        """Return the same settings with other numbers of seeds."""
        changed = self.model_copy()
        changed._numbers = numbers
        return changed

    def seeds_of(self, dataset: str, variant: str) -> tuple[int, ...]:
        """Return the seeds of a variant: run.seeds, and behind the largest of them as many as its number needs.

        With folds the seeds are the folds, so numbers have no effect. A derived variant has the seeds of the one that
        it is made from, or one for each group of them.
        """
        if base := self.base_of(variant):
            of_base = self.seeds_of(dataset, base)
            return of_base[: len(of_base) // group_size(self.variants[variant])]
        seeds = self.run.seeds
        more = 0 if self.run.split == "folds" else self._numbers.get(dataset, {}).get(variant, 0) - len(seeds)
        return seeds + tuple(range(max(seeds) + 1, max(seeds) + 1 + more))

    def swept(self, dataset: str) -> tuple[str, ...]:
        """Return the variants of the run that the size sweep trains on a dataset."""
        here = self.dataset(dataset).source.rendered is not None
        on = here if self.sweep.enabled == "rendered" else self.sweep.enabled
        return tuple(name for name in self.sweep.variants if on and name in self.run.variants)

    @field_validator("variants", mode="before")
    @classmethod
    def _combine(cls, variants: Any) -> Any:
        return combine_variants(variants) if isinstance(variants, dict) else variants

    def dataset(self, name: str) -> Dataset:
        """Return a dataset by name.

        Raises:
            UserError: there is none of that name.
        """
        check_known("--dataset", name, self.datasets)
        return self.datasets[name]

    def variant(self, name: str) -> Variant:
        """Return a variant by name.

        Raises:
            UserError: there is none of that name.
        """
        check_known("--variant", name, self.variants)
        return self.variants[name]

    def against(self, name: str) -> tuple[str, ...]:
        """Return the variants that a variant is compared with."""
        variant = self.variant(name)
        usual = self.base_of(name) or (self.start_of(name) if variant.fine_tune else BASELINE)
        return variant.against or (usual,)

    def base_of(self, name: str) -> str | None:
        """Return the variant that a derived variant is made from; None for a variant that trains."""
        return base_of(self.variants, name)

    def trained_for(self, name: str, seeds: int) -> tuple[str, int]:
        """Return the variant that trains, and its number of seeds, where a variant needs `seeds` results."""
        return self.base_of(name) or name, seeds * group_size(self.variants[name])

    def start_of(self, name: str) -> str:
        """Return the variant that a fine-tuned variant starts from."""
        start: str = self.variant(name).overrides.get("start", self.fine_tune.start)
        return start

    def split_rules(self, dataset: str) -> Split:
        """Return the split settings of a dataset."""
        rules: Split = self.of_dataset("split", dataset)
        return rules

    def of_dataset(self, section: str, dataset: str) -> Any:
        """Return a section, by name, with what the dataset changes in it."""
        data = self.dataset(dataset)
        overrides = getattr(data, section)
        if data.recipe == "course" and isinstance(getattr(self, section), Fit):
            overrides = {"length": "fixed"} | overrides
        return merge(getattr(self, section), overrides, f"datasets.{dataset}.{section}")
