"""Layer tables against the networks that Keras builds, and their words."""

from typing import Any

import pytest

from convnet.evaluation.schema import Evaluation
from convnet.models.cnn import Parts, build_cnn, build_head
from convnet.models.heads import choose_head
from convnet.params.remedies import find_remedies
from convnet.params.training import Network
from convnet.report.networks import loss_words, network_layers, output_words
from convnet.report.tried import effects, tried_table
from convnet.report.variant_part import variant_parts
from helpers.evaluations import CLASSES, VARIANTS, make_evaluation, make_evaluations, typed
from report.test_page import LAYERS, verdict

CUT = next(row for row in LAYERS if row["cut"])


def keras_rows(model: Any) -> list[tuple[str, int, int]]:
    """Return name, last side of the output and parameters of every layer but the input."""
    return [(layer.name, layer.output.shape[-1], layer.count_params()) for layer in model.layers[1:]]


def rows(evaluation: Evaluation) -> list[tuple[str, int, int]]:
    return [(layer.name, layer.shape[-1], layer.parameters) for layer in network_layers(evaluation, LAYERS)]


@pytest.mark.parametrize("dataset", ["pets", "hands"])
@pytest.mark.parametrize("variant", ["baseline", "dropout"])
def test_table_of_the_cnn_is_that_of_keras(dataset: str, variant: str) -> None:
    evaluation = typed(make_evaluation(dataset, variant, 1))[0]
    network = Network(**evaluation.recipe["network"])
    head = choose_head(len(CLASSES[dataset]), "sparse")
    model = build_cnn(evaluation.image_size, network, evaluation.recipe["dropout"], head)
    assert rows(evaluation) == keras_rows(model)
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers[1:]]
    assert [layer.shape for layer in network_layers(evaluation, [])] == shapes


@pytest.mark.parametrize(("pooling", "features"), [("flatten", 512), ("average", 32)])
def test_table_of_a_head_is_that_of_keras(pooling: str, features: int) -> None:
    made = make_evaluation("hands", "transfer_dropout", 1)
    made["recipe"]["pooling"] = pooling
    evaluation = typed(made)[0]
    layers = network_layers(evaluation, LAYERS)
    assert [layers[0].shape, layers[0].parameters] == [(4, 4, 32), 224], "the layers behind the cut are not used"
    assert layers[1].shape == (features,)
    head = build_head(features, 1024, evaluation.recipe["dropout"], choose_head(3, "sparse"))
    assert rows(evaluation)[2:] == keras_rows(head)


def test_output_and_loss_are_those_of_the_head() -> None:
    two, three, one_hot = choose_head(2, "sparse"), choose_head(3, "sparse"), choose_head(3, "one_hot")
    for words, head in ((output_words(["cat", "dog"]), two), (output_words(["a", "b", "c"]), three)):
        assert words.startswith(f"{head.units} unit")
        assert head.activation in words
    for words, head in (
        (loss_words(2, "sparse"), two),
        (loss_words(3, "sparse"), three),
        (loss_words(3, "one_hot"), one_hot),
    ):
        assert head.loss.replace("_", " ").replace("crossentropy", "cross-entropy") in words


def test_recipe_is_beside_that_of_the_variant_compared_with() -> None:
    made = make_evaluations(1, 6, 3)
    parts = {part.name: part for part in variant_parts(typed(*made), verdict(made), LAYERS, {})}
    changed = {name: value for name, value, other in parts["dropout"].settings if value != other}
    assert changed == {"dropout": "0.5"}
    assert parts["baseline"].compared_with is None
    assert parts["baseline"].changed == 0
    assert ("trainable_from", "block4_conv", "not set") in parts["fine_tune"].settings


def test_line_names_network_and_remedies() -> None:
    made = [make_evaluation("pets", name, 1) for name in VARIANTS]
    remedies = {
        "dropout": [{"name": "dropout", "sentence": "It drops.", "source": "a", "knobs": {"rate": 0.5}}],
        "transfer": [{"name": "transfer", "sentence": "It transfers.", "source": "b", "knobs": {}}],
    }
    sentences = effects(tried_table(typed(*made), remedies))
    parts = {part.name: part for part in variant_parts(typed(*made), verdict(made), LAYERS, sentences)}
    assert parts["baseline"].line == "A small CNN with 16-32-64 filters and 512 dense units."
    assert parts["dropout"].line == "It drops.", "its network is that of the baseline"
    assert parts["transfer"].line == "A new head of 1,024 units on the frozen backbone compact."
    assert parts["fine_tune"].line.startswith("transfer trained further at the rate 0.0001")
    assert effects(None) == effects(tried_table(typed(*made), {})) == {}


@pytest.mark.parametrize("remedies", [{"lean": {}}, {"spatial_dropout": {"rate": 0.2}}])
def test_table_of_a_changed_cnn_is_that_of_keras(remedies: dict[str, Any]) -> None:
    made = make_evaluation("hands", "baseline", 1)
    made["recipe"]["remedies"] = remedies
    evaluation = typed(made)[0]
    parts = Parts()
    for name, settings in remedies.items():
        remedy = find_remedies()[name]
        assert remedy.network is not None
        assert remedy.settings is not None
        parts = remedy.network(remedy.settings(**settings), parts)
    network = Network(**evaluation.recipe["network"])
    model = build_cnn(evaluation.image_size, network, 0.0, choose_head(3, "sparse"), parts)
    assert rows(evaluation) == keras_rows(model)
