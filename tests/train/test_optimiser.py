"""What decays, and the learning rate of each step."""

import math
import re

import pytest
import torch

from cloome.config import Model, Train
from cloome.errors import ConfigError
from cloome.model.clip import build_model
from cloome.train.optimiser import make_optimiser, make_schedule

TINY = Model(encoder="resnet14", width=4, pool=1, hidden=8, hidden_layers=1, embedding=4)


def names_by_decay(settings, learn_inv_tau=True):
    network = build_model(TINY, 2, 16, 14.3, learn_inv_tau)
    optimiser = make_optimiser(network, settings)
    name = {id(p): n for n, p in network.named_parameters()}
    return {group["weight_decay"]: {name[id(p)] for p in group["params"]} for group in optimiser.param_groups}


def test_upstream_decays_by_name():
    # FACTS 4, row 17: the temperature and the normalisation weights without "bn" in their name decay.
    groups = names_by_decay(Train(weight_decay=0.2))
    assert {
        "visual.conv1.weight",
        "visual.layer1.0.downsample.1.weight",
        "visual.fc.weight",
        "transformer.layers.0.0.weight",
        "transformer.layers.0.1.weight",
        "logit_inv_tau",
    } <= groups[0.2]
    assert {
        "visual.bn1.weight",
        "visual.layer2.0.bn3.weight",
        "visual.layer1.0.downsample.1.bias",
        "transformer.layers.0.1.bias",
        "visual.fc.bias",
    } <= groups[0.0]
    every = groups[0.2] | groups[0.0]
    assert groups[0.0] == {name for name in every if re.search("bn|ln|bias", name)}, "exactly these and no others"


def test_weights_decay_by_dimension():
    groups = names_by_decay(Train(weight_decay=0.2, decay="weights"))
    assert {"visual.conv1.weight", "transformer.layers.0.0.weight", "visual.fc.weight"} <= groups[0.2]
    assert {"logit_inv_tau", "transformer.layers.0.1.weight", "visual.layer1.0.downsample.1.weight"} <= groups[0.0]
    assert not any("bias" in name or "bn" in name for name in groups[0.2])


@pytest.mark.parametrize("decay", ["upstream", "weights"])
def test_each_trained_parameter_is_in_one_group(decay):
    groups = names_by_decay(Train(weight_decay=0.2, decay=decay), learn_inv_tau=False)
    network = build_model(TINY, 2, 16, 14.3, False)
    assert groups[0.2] | groups[0.0] == {name for name, _ in network.named_parameters()} - {"logit_inv_tau"}
    assert not groups[0.2] & groups[0.0]


def test_the_optimiser_has_the_settings_of_the_configuration():
    settings = Train(learning_rate=2e-3, beta1=0.8, beta2=0.98, epsilon=1e-6)
    optimiser = make_optimiser(build_model(TINY, 2, 16, 14.3, False), settings)
    assert isinstance(optimiser, torch.optim.AdamW)
    assert {(g["lr"], g["betas"], g["eps"]) for g in optimiser.param_groups} == {(2e-3, (0.8, 0.98), 1e-6)}


def test_linear_warm_up_then_half_a_cosine():
    rate = make_schedule(Train(learning_rate=1.0, warmup=10), total=110)
    assert [rate(step) for step in (0, 1, 5, 10)] == pytest.approx([0.0, 0.1, 0.5, 1.0])
    assert [rate(step) for step in (35, 60, 85, 110)] == pytest.approx(
        [(1 + math.cos(math.pi / 4)) / 2, 0.5, (1 + math.cos(3 * math.pi / 4)) / 2, 0.0]
    )


def test_restarts_jump_back_to_the_peak():
    rate = make_schedule(Train(learning_rate=1.0, warmup=10, schedule="cosine_restarts", restarts=4), total=110)
    assert [rate(step) for step in (10, 35, 60, 85)] == pytest.approx([1.0] * 4)
    assert rate(34) == pytest.approx((1 + math.cos(math.pi * 24 / 25)) / 2)
    assert rate(110) == 0.0


def test_restarts_count_only_where_they_are_asked_for():
    plain, one = (
        make_schedule(Train(warmup=3, schedule=schedule, restarts=restarts), total=40)
        for schedule, restarts in (("cosine", 5), ("cosine_restarts", 1))
    )
    assert [plain(step) for step in range(41)] == [one(step) for step in range(41)]


def test_no_warm_up_starts_at_the_peak():
    assert make_schedule(Train(learning_rate=1.0, warmup=0), total=5)(0) == 1.0


@pytest.mark.parametrize("total", [5, 10])
def test_a_warm_up_as_long_as_the_training_is_refused(total):
    with pytest.raises(ConfigError, match=f"the training has {total}; write warmup: {total // 10}"):
        make_schedule(Train(warmup=10), total)


def test_a_warm_up_in_epochs_takes_the_place_of_one_in_steps():
    # 110 steps in 11 epochs: one and a half of them are 15 steps.
    settings = Train(learning_rate=1.0, epochs=11, warmup=10_000, warmup_epochs=1.5)
    rate, same = make_schedule(settings, total=110), make_schedule(Train(learning_rate=1.0, warmup=15), total=110)
    assert [rate(step) for step in range(111)] == [same(step) for step in range(111)]


def test_a_warm_up_of_all_epochs_is_refused():
    with pytest.raises(ConfigError, match=r"train\.epochs is 4; write warmup_epochs: 0\.4"):
        make_schedule(Train(epochs=4, warmup_epochs=4.0), total=40)
