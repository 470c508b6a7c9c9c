from convnet.params.load import load_params
from convnet.pipeline.plans import remedies_tried
from convnet.report.tried import tried_table
from helpers.evaluations import make_evaluation, typed
from helpers.tiny_study import PROJECT


def test_row_has_sentence_knobs_and_cost_of_each_remedy() -> None:
    params = load_params(PROJECT / "params.yaml")
    run = params.run.model_copy(update={"pixel_variants": ("baseline", "combined", "smaller")})
    tried = remedies_tried(params.model_copy(update={"run": run}), "pets")
    assert [remedy["name"] for remedy in tried["combined"]] == ["augmentation", "mixup", "weight_decay"]
    assert [remedy["name"] for remedy in tried["fine_tune"]] == ["fine_tune", "transfer"]
    assert tried["baseline"] == []
    evaluations = typed(*(make_evaluation("pets", name, 2) for name in ("baseline", "combined", "smaller")))
    table = tried_table(evaluations, tried)
    assert table["variant"].tolist() == ["combined", "combined", "combined", "smaller"]
    assert table["knobs"].tolist()[1:] == ["alpha 0.2", "product 0.1", "filters 8-16-32, dense 128"]
    assert "rotation 40, width shift 0.2" in table["knobs"][0]
    assert table["effect"][1].startswith("Training sees mixtures")
    minutes = sum(run.seconds_training for run in evaluations[1].seeds) / 2 / 60
    assert table["minutes per seed"].tolist()[:3] == [f"{minutes:.1f}"] * 3
