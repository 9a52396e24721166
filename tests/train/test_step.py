"""The loss of a batch and its gradients: in parts, on several processes, with duplicates and bags."""

import copy
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cloome.config import Model, Train
from cloome.errors import CloomeError, ConfigError
from cloome.model.clip import ClipModel, build_model
from cloome.model.losses import cloob, cwcl, info_nce, siglip, tanimoto
from cloome.model.normalisation import Normalisation
from cloome.train.batches import Batch
from cloome.train.optimiser import make_optimiser
from cloome.train.processes import Group, launch
from cloome.train.step import Step, equal_parts, memory_advice

CPU = torch.device("cpu")
SIDE = 64
MODEL = Model(encoder="resnet14", width=4, pool=1, hidden=16, hidden_layers=1, embedding=8)
NORMALISE = Normalisation([120.0, 130.0, 125.0], [70.0, 75.0, 80.0])
FINGERPRINTS = np.random.default_rng(1).integers(0, 2, (12, 32), dtype=np.uint8)


@pytest.fixture(autouse=True)
def tests_are_found_by_started_processes(monkeypatch, root):
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def settings(**changes) -> Train:
    return Train.model_validate({"batch": 8, "crop": SIDE, "precision": "float32", "hopfield_scale": 8.0, **changes})


def new_network(biased: bool = False) -> ClipModel:
    torch.manual_seed(0)
    network = build_model(MODEL, 3, 32, 14.3, learn_inv_tau=True, biased=biased)
    return network.to(memory_format=torch.channels_last)


def new_batch(items: int = 8, bag: int = 1, seed: int = 0) -> Batch:
    """Noise on blocks of random brightness, so that images differ; some molecules are there twice."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 200, (items * bag, 3, 4, 4)).repeat(SIDE // 4, axis=2).repeat(SIDE // 4, axis=3)
    images = torch.from_numpy((blocks + random.integers(0, 56, blocks.shape)).astype(np.uint8))
    keys = tuple(f"{seed}-{number}" for number in range(items * bag))
    return Batch(images, torch.from_numpy(random.integers(0, 12, items)), keys, 0)


def rows(batch: Batch, start: int, stop: int, bag: int = 1) -> Batch:
    """Some items of a batch."""
    images = slice(start * bag, stop * bag)
    return Batch(batch.images[images], batch.molecule[start:stop], batch.keys[images], batch.number)


def new_step(
    network: ClipModel, method: str = "cloob", group: Group | None = None, scale: float = 0.0, **changes
) -> Step:
    scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=bool(scale))
    group = group or Group.alone(CPU)
    return Step(network, NORMALISE, FINGERPRINTS, settings(**changes), method, torch.float32, scaler, group)


def gradients(network: ClipModel) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def far(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Largest distance of a tensor from the expected one, relative to the length of all of them together."""
    assert found.keys() == expected.keys()
    length = torch.stack([value.double().norm() for value in expected.values()]).norm()
    return float(max((found[name].double() - value.double()).norm() / length for name, value in expected.items()))


def plain_embeddings(network: ClipModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (NORMALISE.mean, NORMALISE.std))
    # In the same layout, so that convolutions round in the same way.
    images = ((batch.images.float() - mean) / std).contiguous(memory_format=torch.channels_last)
    return network.encode_image(images), network.encode_molecule(torch.from_numpy(FINGERPRINTS)[batch.molecule].float())


# ---- the loss


def naive(method: str, network: ClipModel, batch: Batch, **masks) -> torch.Tensor:
    x, y = plain_embeddings(network, batch)
    inv_tau = network.logit_inv_tau.exp()
    if method == "clip":
        return info_nce(x, y, inv_tau, **masks)
    if method == "cloob":
        return cloob(x, y, inv_tau, 8.0, **masks)
    if method == "siglip":
        return siglip(x, y, inv_tau, network.logit_bias, **masks)
    return cwcl(x, y, inv_tau, **masks)


@pytest.mark.parametrize("duplicates", ["negatives", "positives", "masked", "never"])
@pytest.mark.parametrize("method", ["clip", "cloob", "siglip", "cwcl"])
def test_each_method_treats_several_images_of_a_molecule_as_told(method, duplicates):
    network, batch = new_network(method == "siglip"), new_batch()
    others = torch.zeros(8, 8, dtype=torch.bool)
    for i, first in enumerate(batch.molecule.tolist()):
        for j, second in enumerate(batch.molecule.tolist()):
            others[i, j] = i != j and first == second
    assert others.any()
    masks = {"same": others | torch.eye(8, dtype=torch.bool)} if duplicates == "positives" else {}
    masks = {"ignored": others} if duplicates == "masked" else masks
    if method == "cwcl":
        masks.pop("same", None)
        masks["similarity"] = tanimoto(torch.from_numpy(FINGERPRINTS)[batch.molecule].float())
        if duplicates == "negatives":
            masks["similarity"][others] = 0.0
    expected = naive(method, network, batch, **masks)
    expected.backward()
    expected_gradients = gradients(network)
    network.zero_grad()
    loss = new_step(network, method, duplicates=duplicates).backward(batch)
    assert not loss.requires_grad
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert far(gradients(network), expected_gradients) < 1e-5


def test_a_bag_is_the_mean_of_its_images_embeddings_made_unit_length_again():
    network, batch = new_network().eval(), new_batch(items=4, bag=3)
    each, molecules = plain_embeddings(network, batch)
    for step in (new_step(network, bag=3), new_step(network, bag=3, micro_batch=2)):
        x, y = step.embed(batch)
        for item in range(4):
            mean = sum(each[3 * item + number] for number in range(3)) / 3
            torch.testing.assert_close(x[item], mean / mean.norm(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(y, molecules, rtol=1e-5, atol=1e-6)
        assert not x.requires_grad


def test_symmetries_of_the_batch_are_applied():
    network, batch = new_network().eval(), new_batch(items=4)
    turned = replace(batch, symmetry=torch.tensor([0, 1, 2, 3], dtype=torch.uint8))
    by_hand = torch.stack([torch.rot90(image, number, (1, 2)) for number, image in enumerate(batch.images)])
    step = new_step(network, micro_batch=2)
    torch.testing.assert_close(step.embed(turned)[0], step.embed(replace(batch, images=by_hand))[0])


def test_in_bfloat16_the_forward_pass_is_coarser_and_the_loss_float32():
    network, batch = new_network().eval(), new_batch()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    half = Step(network, NORMALISE, FINGERPRINTS, settings(), "clip", torch.bfloat16, scaler, Group.alone(CPU))
    x, exact = half.embed(batch)[0], new_step(network).embed(batch)[0]
    assert x.dtype is torch.float32
    assert 1e-4 < (x - exact).abs().max() < 0.1
    assert half.backward(batch).dtype is torch.float32


def test_images_reach_the_network_channels_last():
    network, seen = new_network(), []
    network.visual.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    step = new_step(network, micro_batch=4)
    step.backward(new_batch())
    assert len(seen) == 4  # two parts, twice
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images in seen)
    assert network.visual.conv1.weight.is_contiguous(memory_format=torch.channels_last)


# ---- parts of a batch


@pytest.mark.parametrize("method", ["clip", "cloob", "siglip"])
def test_in_evaluation_mode_the_gradient_of_parts_is_that_of_the_batch_at_once(method):
    network, batch = new_network(method == "siglip").eval(), new_batch(items=16)
    loss = new_step(network, method, batch=16).backward(batch)
    expected = gradients(network)
    for micro_batch in (3, 5, 8):
        network.zero_grad()
        in_parts = new_step(network, method, batch=16, micro_batch=micro_batch).backward(batch)
        assert in_parts.item() == pytest.approx(loss.item(), rel=1e-6)
        assert far(gradients(network), expected) < 1e-5


@pytest.mark.parametrize("bag", [1, 2])
def test_gradient_of_parts_is_that_of_one_graph_through_which_the_same_parts_pass(bag):
    network, batch = new_network(), new_batch(items=12, bag=bag)
    plain = copy.deepcopy(network)
    sides = [plain_embeddings(plain, rows(batch, start, start + 4, bag)) for start in (0, 4, 8)]
    x, y = (torch.cat(side) for side in zip(*sides, strict=True))
    x = F.normalize(x.view(12, bag, -1).mean(1), dim=1)
    expected = cloob(x, y, plain.inv_tau, 8.0)
    expected.backward()
    loss = new_step(network, batch=12, micro_batch=4, bag=bag).backward(batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert far(gradients(network), gradients(plain)) < 1e-5
    for name, value in plain.state_dict().items():
        # Running statistics too: each part counts once, though it passes twice.
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_the_scale_for_float16_stays_in_the_gradients_of_parts_and_not_in_the_loss():
    network, batch = new_network().eval(), new_batch()
    loss = new_step(network, micro_batch=4).backward(batch)
    expected = {name: 1024 * value for name, value in gradients(network).items()}
    for micro_batch in (None, 4):
        network.zero_grad()
        scaled = new_step(network, scale=1024.0, micro_batch=micro_batch).backward(batch)
        assert scaled.item() == pytest.approx(loss.item(), rel=1e-6)
        assert far(gradients(network), expected) < 1e-5


def test_parts_are_few_and_nearly_equal():
    assert equal_parts(8, None) == [range(8)]
    assert equal_parts(8, 8) == equal_parts(8, 100) == [range(8)]
    assert equal_parts(8, 4) == [range(4), range(4, 8)]
    assert [len(part) for part in equal_parts(65, 32)] == [21, 22, 22]


def test_a_part_of_one_pair_is_refused():
    for items, micro_batch in ((8, 1), (5, 2)):
        with pytest.raises(ConfigError, match=f"micro_batch {micro_batch} leaves a part of one pair.*write 3 or more"):
            new_step(new_network(), micro_batch=micro_batch).backward(new_batch(items))


# ---- several processes

# Rounding alone, by other orders of a batch's rows in one process, makes gradients differ by 1e-5 and, through AdamW's
# division by their size, weights after 20 steps by half the learning rate. The paper's 20 first steps reach 1e-6.
SYNCHRONISED = {"batch": 16, "sync_batchnorm": True, "learning_rate": 5e-6}


def trained(group: Group) -> dict:
    """20 steps of AdamW on batches of 16, of which each process has its part."""
    network = new_network()
    step = new_step(network, group=group, gather="with_gradient", **SYNCHRONISED)
    optimiser, losses = make_optimiser(network, settings(**SYNCHRONISED)), []
    for number in range(20):
        optimiser.zero_grad(set_to_none=True)
        losses.append(step.backward(part_of(new_batch(16, seed=number), group)).item())
        optimiser.step()
    statistics = {name: value for name, value in network.named_buffers() if "running" in name}
    return {"weights": weights(network), "statistics": statistics, "losses": losses}


def weights(network: ClipModel) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def part_of(batch: Batch, group: Group) -> Batch:
    size = len(batch.molecule) // group.world
    return rows(batch, group.rank * size, (group.rank + 1) * size)


def gradient(group: Group, training: bool, **changes) -> dict[str, torch.Tensor]:
    """Of the second of two batches: the first must leave nothing behind."""
    network = new_network().train(training)
    step = new_step(network, group=group, **SYNCHRONISED, **changes)
    for seed in range(2):
        network.zero_grad()
        step.backward(part_of(new_batch(16, seed=seed), group))
    return gradients(network)


WAYS = {
    "with_gradient": {"training": True, "gather": "with_gradient"},
    "local": {"training": True, "gather": "local"},
    "parts with_gradient": {"training": False, "gather": "with_gradient", "micro_batch": 4},
    "parts local": {"training": False, "gather": "local", "micro_batch": 4},
}


def write_results(group: Group, folder: Path) -> None:
    results = {"trained": trained(group), **{name: gradient(group, **way) for name, way in WAYS.items()}}
    torch.save(results, folder / f"{group.rank}.pt")


@pytest.fixture(scope="module")
def of_two(tmp_path_factory, root) -> list[dict]:
    """What two processes find."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        launch(write_results, 2, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_twenty_steps_in_two_processes_give_the_weights_and_losses_of_one_process(of_two):
    one = trained(Group.alone(CPU))
    for result in of_two:
        assert result["trained"]["losses"] == pytest.approx(one["losses"], rel=1e-4)
        assert far(result["trained"]["weights"], one["weights"]) < 1e-5
        assert far(result["trained"]["statistics"], one["statistics"]) < 1e-5
    assert far(weights(new_network()), one["weights"]) > 5e-5
    assert far(of_two[0]["trained"]["weights"], of_two[1]["trained"]["weights"]) == 0.0


@pytest.mark.parametrize("way", WAYS)
def test_gradients_of_two_processes_are_those_of_one_and_half_of_them_with_the_local_gather(of_two, way):
    expected = gradient(Group.alone(CPU), WAYS[way]["training"])
    if "local" in way:
        # Each process finds the whole gradient of the temperature, but of its own embeddings only half of the rest.
        expected = {name: value if name == "logit_inv_tau" else value / 2 for name, value in expected.items()}
    for result in of_two:
        assert far(result[way], expected) < (1e-4 if WAYS[way]["training"] else 1e-5)


# ---- what cannot be


def test_memory_that_runs_out_ends_in_one_line_that_says_what_to_write():
    class Full(torch.nn.Module):
        def forward(self, images):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    network = new_network()
    network.visual = Full()
    with pytest.raises(CloomeError, match=r"not hold 8 pairs of 64 x 64 pixels.*write train.micro_batch: 4, which"):
        new_step(network).backward(new_batch())
    with pytest.raises(CloomeError, match=r"not hold 4 pairs of.*write train.micro_batch: 2, which"):
        new_step(network, micro_batch=4).backward(new_batch())


@pytest.mark.parametrize(
    ("pairs", "at_once", "micro_batch"),
    [
        (256, 256, 128),
        (256, 128, 64),
        (256, 100, 32),
        (300, 300, 150),
        (300, 150, 75),
        (96, 96, 48),
        (97, 97, 32),
        (8, 4, 2),
    ],
)
def test_memory_advice_is_the_largest_divisor_or_power_of_two_of_at_most_half(pairs, at_once, micro_batch):
    assert f"write train.micro_batch: {micro_batch}, which" in memory_advice(settings(batch=pairs), pairs, at_once)


def test_memory_advice_without_a_smaller_part_names_crop_and_bag():
    text = memory_advice(settings(bag=4, crop=520), 2, 2)
    assert "micro_batch" not in text
    assert "2 pairs with 4 images each of 520 x 520 pixels" in text
    assert text.endswith("write train.bag: 2, or a smaller train.crop than 520 (368 takes half the memory)")


def test_compiling_without_a_compiler_says_so(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"there is no no-such-compiler; install one .* or write compile: false"):
        new_step(new_network(), compile=True)


@pytest.mark.slow
@pytest.mark.parametrize("micro_batch", [None, 4])
def test_a_compiled_encoder_has_the_same_names_losses_and_gradients(micro_batch):
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no C++ compiler")
    network, batch = new_network(), new_batch()
    names = list(network.state_dict())
    expected = new_step(copied := copy.deepcopy(network), micro_batch=micro_batch).backward(batch)
    loss = new_step(network, compile=True, micro_batch=micro_batch).backward(batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert far(gradients(network), gradients(copied)) < 1e-4
    assert list(network.state_dict()) == list(copy.deepcopy(network).state_dict()) == names
