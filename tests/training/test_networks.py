"""Jobs of one process share a loaded backbone, and no bit of a network shows it."""

import os
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from convnet.jobs.job import Job, UsedBackbone
from convnet.models.heads import choose_head
from convnet.params.recipe import resolve
from convnet.training import networks
from convnet.training.networks import build_networks, draw_from
from helpers import tiny_study as tiny

tiny.start_keras()

HEAD = choose_head(2, "sparse")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tmp_path)
    networks.load_whole.cache_clear()
    params = tiny.params(tmp_path)
    weights = tiny.write_backbone(tmp_path / "backbone") / "source.keras"
    used = UsedBackbone("compact", params.backbones["compact"], weights, "block2_pool")
    return replace(tiny.pixel_jobs(tmp_path)[0], recipe=resolve(params, "tiny", "transfer"), backbone=used)


def build(job: Job) -> keras.Model:
    """Build the network to be saved, as `train_job` begins."""
    draw_from(job.seed)
    return build_networks(job, HEAD).classifier


def test_the_network_of_a_kept_backbone_equals_that_of_a_loaded_one(job: Job) -> None:
    first = [build(replace(job, seed=seed)) for seed in (1, 2)]
    assert networks.load_whole.cache_info().hits == 1
    for seed, expected in zip((2, 1), reversed(first), strict=True):
        networks.load_whole.cache_clear()
        found = build(replace(job, seed=seed))
        assert found.to_json() == expected.to_json()
        for one, other in zip(found.get_weights(), expected.get_weights(), strict=True):
            assert np.array_equal(one, other)


def test_heads_share_no_weights(job: Job) -> None:
    one, other = (build(replace(job, seed=seed)) for seed in (1, 2))
    assert not np.array_equal(one.get_layer("head").get_weights()[0], other.get_layer("head").get_weights()[0])


def test_a_changed_file_is_loaded_again(job: Job) -> None:
    before = build(job)
    assert job.backbone is not None
    model = keras.saving.load_model(job.backbone.weights)
    model.set_weights([weight + 1.0 for weight in model.get_weights()])
    model.save(job.backbone.weights)
    os.utime(job.backbone.weights, ns=(0, job.backbone.weights.stat().st_mtime_ns + 1_000_000))
    for one, other in zip(build(job).get_layer("backbone").weights, before.get_layer("backbone").weights, strict=True):
        assert np.allclose(one.numpy(), other.numpy() + 1.0)
