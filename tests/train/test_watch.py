"""What is seen of a training, how good a model is found to be, and what is said when numbers go wrong."""

import logging
import os
import pty
import subprocess
import sys
import termios

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cloome.config import Train
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import CloomeError, ConfigError
from cloome.train import best, loop, meter, watch
from cloome.train.average import Average
from cloome.train.batches import Batch
from cloome.train.best import Best, Score, top1
from cloome.train.guard import Losses
from cloome.train.meter import Meter
from cloome.train.watch import Watch

ROW = dict.fromkeys(LOG_COLUMNS, 0.5) | {"epoch": 1, "step": 6}


def test_a_log_has_a_line_for_each_epoch(screen, tmp_path, on_the_cpu, caplog):
    caplog.set_level(logging.INFO)
    screen.train(tmp_path / "model.pt")
    lines = [message for message in caplog.messages if message.startswith("epoch ")]
    assert len(lines) == 4
    assert "epoch 2 of 4: loss " in lines[1]
    assert "top-1 100.0% image to molecule" in lines[1]


def test_long_epochs_have_lines_inside(screen, tmp_path, on_the_cpu, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(watch, "LOG_SECONDS", 0)
    screen.train(tmp_path / "model.pt", epochs=1)
    lines = [message for message in caplog.messages if message.startswith("epoch 1 of 1: batch ")]
    assert len(lines) == 6
    assert lines[2].startswith("epoch 1 of 1: batch 3 of 6, loss ")


def test_the_table_grows_with_each_epoch(tmp_path):
    seen = Watch(tmp_path, 2)
    for rows in ([ROW], [ROW, {**ROW, "epoch": 2}]):
        seen.begin(len(rows), 6, 0)
        seen.end(rows)
        assert pd.read_csv(tmp_path / "train_log.csv")["epoch"].tolist() == [row["epoch"] for row in rows]


def test_other_processes_show_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    silent = Watch(None, 2, tensorboard=True)
    silent.begin(1, 6, 0)
    silent.step()
    silent.say(1.0, 2.0)
    silent.end([ROW])
    assert caplog.text == ""


def test_a_terminal_gets_a_bar():
    program = "from cloome.train.watch import Watch\nw = Watch('.', 9)\nw.begin(3, 500, 20)\nw.step()\nw.say(1.5, 2.0)"
    own, terminal = pty.openpty()
    termios.tcsetwinsize(own, (24, 100))
    subprocess.run([sys.executable, "-c", program], stderr=terminal, check=True)
    shown = os.read(own, 10_000).decode()
    os.close(own)
    os.close(terminal)
    assert "epoch 3 of 9: " in shown
    assert "21/500" in shown
    assert "loss=1.5" in shown


def test_tensorboard_without_its_package_is_refused_before_the_training(screen, tmp_path, on_the_cpu, monkeypatch):
    # None in the table of modules is how Python itself marks what cannot be imported.
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="needs the package tensorboard"):
        screen.train(tmp_path / "model.pt", running={"tensorboard": True})


def test_tensorboard_has_the_numbers_of_the_table(screen, tmp_path, on_the_cpu):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    screen.train(tmp_path / "model.pt", running={"tensorboard": True})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    table = pd.read_csv(tmp_path / "train_log.csv")
    for name in ("train_loss", "validation_loss", "top1_image_to_molecule", "waiting_share"):
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        assert shown == [(e, pytest.approx(v)) for e, v in zip(table["epoch"], table[name], strict=True)]


def batch(number: int = 0, size: int = 4) -> Batch:
    keys = tuple(f"P1-A{number:02d}-{image}" for image in range(size))
    return Batch(torch.zeros(size, 1, 2, 2, dtype=torch.uint8), torch.arange(size), keys, number)


def test_the_meter_tells_waiting_from_working(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(meter.time, "perf_counter", lambda: now[0])

    def slow_batches():
        for number in range(3):
            now[0] += 1.0
            yield batch(number)

    measured = Meter(torch.device("cpu"), world=2)
    for _ in measured.over(slow_batches()):
        now[0] += 3.0
    measured.stop()
    now[0] += 100.0  # the validation
    measured.settle()
    assert measured.waiting_share == 3 / 12
    assert measured.images_per_second == 3 * 4 * 2 / 12
    assert measured.peak_memory() > 10
    again = Meter(torch.device("cpu"))
    again.load_state_dict(measured.state_dict())
    assert again.waiting_share == 3 / 12


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_loss_that_is_no_number_is_named_with_its_batch(bad):
    losses = Losses(3, [1.0, 2.0])
    for number, value in ((2, 0.5), (3, bad), (4, float("nan"))):
        losses.add(torch.tensor(value), batch(number))
    with pytest.raises(CloomeError, match=r"epoch 3, batch 3 \(images P1-A03-0, P1-A03-1, P1-A03-2, ...\).*bfloat16"):
        losses.read()


def test_a_validation_loss_that_is_no_number_ends_the_training(screen, tmp_path, on_the_cpu):
    """The only step has a loss; the weights that it leaves have none."""
    changes = {"batch": 24, "learning_rate": 1e30, "warmup": 0}
    with pytest.raises(CloomeError, match=r"the validation loss is nan after epoch 1.*write a smaller train.learning"):
        screen.train(tmp_path / "model.pt", epochs=1, **changes)


def test_losses_are_read_in_order_and_only_once():
    losses = Losses(1, [1.0])
    for number in (1, 2):
        losses.add(torch.tensor(float(number + 1)), batch(number))
    assert losses.waiting == 2
    losses.read()
    losses.read()
    assert (losses.values, losses.waiting, losses.mean) == ([1.0, 2.0, 3.0], 0, 2.0)


def test_losses_are_not_read_at_each_step(screen, tmp_path, on_the_cpu, monkeypatch):
    reads, read = [], Losses.read
    monkeypatch.setattr(Losses, "read", lambda losses: (reads.append(losses.waiting), read(losses)))
    monkeypatch.setattr(loop, "READ_EVERY", 4)
    screen.train(tmp_path / "model.pt", epochs=1)
    assert reads == [4, 2]


def naive_top1(x, y, molecule):
    """Image by image and molecule by molecule, with plain sorting."""
    x, y, molecule = x.numpy(), y.numpy(), molecule.numpy()
    first = {m: int(np.flatnonzero(molecule == m)[0]) for m in np.unique(molecule)}
    images = [all(x[i] @ y[first[m]] > x[i] @ y[first[n]] for n in first if n != m) for i, m in enumerate(molecule)]
    molecules = []
    for m, row in first.items():
        scores = x @ y[row]
        molecules.append(scores[molecule == m].max() > scores[molecule != m].max(initial=-np.inf))
    return np.mean(images), np.mean(molecules)


@pytest.mark.parametrize("rows", [3, 4096])
def test_top1_is_that_of_comparing_everything_with_everything(monkeypatch, rows):
    monkeypatch.setattr(best, "ROWS", rows)
    random = np.random.default_rng(0)
    molecule = torch.from_numpy(random.choice([2, 3, 5, 7, 11, 40], 30))
    # Small whole numbers: sums are exact, and there are many ties.
    of_molecule = torch.from_numpy(random.integers(-2, 3, (41, 4)).astype(np.float32))
    x = of_molecule[molecule] + torch.from_numpy(random.integers(-1, 2, (30, 4)).astype(np.float32))
    found, expected = top1(x, of_molecule[molecule], molecule), naive_top1(x, of_molecule[molecule], molecule)
    assert found == pytest.approx(expected)
    assert 0 < found[0] < 1
    assert 0 < found[1] < 1


def test_a_network_that_maps_all_to_one_point_retrieves_nothing():
    assert top1(torch.ones(6, 2), torch.ones(6, 2), torch.tensor([0, 0, 1, 1, 2, 2])) == (0.0, 0.0)


def test_of_equally_good_epochs_the_first_is_kept():
    keeper, network = Best(Train(keep="best", criterion="retrieval", patience=2)), nn.Linear(1, 1, bias=False)
    for epoch, right in enumerate([0.1, 0.3, 0.3, 0.2], start=1):
        nn.init.constant_(network.weight, epoch)
        keeper.offer(Score(9.0 - epoch, right, right), epoch, network)
        assert keeper.given_up(epoch) == (epoch == 4)
    keeper.put(network)
    assert (keeper.epoch, network.weight.item()) == (2, 2.0)


def test_the_average_is_that_of_its_definition_and_leaves_the_weights_alone():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average, expected = Average(network, 0.5), network[0].weight.detach().clone()
    for step in range(1, 12):
        with torch.no_grad():
            network[0].weight += step
            network[1].running_mean += step
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    own = {name: value.clone() for name, value in network.state_dict().items()}
    with average.in_use():
        torch.testing.assert_close(network[0].weight.detach(), expected)
        assert torch.equal(network[1].running_mean, own["1.running_mean"])
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())
