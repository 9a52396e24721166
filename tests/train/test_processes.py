"""Starting the processes of a training, what they exchange, and how the failure of one of them reaches the user."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from cloome.errors import CloomeError, ConfigError
from cloome.train.batch_norm import running_statistics_kept, synchronised
from cloome.train.gather import gather
from cloome.train.processes import Group, first_host, is_first, launch, place_of

CPU = torch.device("cpu")
LAUNCHERS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_ID")


@pytest.fixture(autouse=True)
def started_by_nobody(monkeypatch, root):
    """No launcher's variables, no GPU; started processes find this module."""
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.syspath_prepend(str(root))


# ---- what the started processes do


def write_results(group: Group, folder: Path) -> None:
    """Both kinds of gather, and BatchNorm over two processes, as tensors in a file per process."""
    torch.save({**gathered(group), **normalised(group)}, folder / f"{group.rank}.pt")


def gathered(group: Group) -> dict:
    results = {"group": (group.rank, group.world, str(group.device), torch.get_num_threads())}
    weights = torch.arange(1.0, 9.0).view(4, 2)
    for way in ("local", "with_gradient"):
        part = own_part(group, way).requires_grad_()
        whole = gather(part, group, way == "with_gradient")
        (whole.square() * weights).sum().backward()
        results[way] = (whole.detach(), part.grad)
    results["integers"] = gather(torch.tensor([group.rank, 7]), group, with_gradient=False)
    return results


def own_part(group: Group, way: str) -> torch.Tensor:
    return torch.tensor([[1.0, 2.0], [3.0, 4.0]]) + 10 * group.rank


def normalised(group: Group) -> dict:
    inputs, network = batch_norm_inputs(), synchronised(batch_norm_network())
    mine = [values[group.rank * 3 : group.rank * 3 + 3].clone().requires_grad_() for values in inputs]
    outputs = [layer(values) for layer, values in zip(network, mine, strict=True)]
    some_loss(outputs, range(group.rank * 3, group.rank * 3 + 3)).backward()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with running_statistics_kept(network):
        network[0](mine[0].detach())
    return {
        "outputs": [output.detach() for output in outputs],
        "inputs' gradients": [values.grad for values in mine],
        "parameters' gradients": [parameter.grad for parameter in network.parameters()],
        "state": state,
        "kept": {name: value.clone() for name, value in network.state_dict().items()},
        "half": network[1](mine[1].detach().bfloat16()).dtype,
    }


def batch_norm_network() -> nn.ModuleList:
    layers = nn.ModuleList([nn.BatchNorm1d(4), nn.BatchNorm2d(3)])
    for layer in layers:
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
        nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(2))
    return layers


def batch_norm_inputs() -> list[torch.Tensor]:
    """Six rows; a mean that is large beside the spread costs sums of squares their digits."""
    random = torch.Generator().manual_seed(3)
    return [torch.randn(6, 4, generator=random) + 30, 2 * torch.randn(6, 3, 5, 4, generator=random) - 9]


def some_loss(outputs: list[torch.Tensor], rows: range) -> torch.Tensor:
    """A loss in which each row of the whole batch has a weight of its own."""
    weights = torch.sin(torch.tensor(list(rows), dtype=torch.float32))
    return sum((output.flatten(1).cumsum(1).sum(1) * weights).sum() for output in outputs)


def fail(group: Group, how: str) -> None:
    """The process of rank 1 ends in some way; the other one waits for it in a barrier."""
    if group.rank == 1:
        if how == "its own error":
            raise ConfigError("train.batch is odd; write an even one")
        if how == "a bug":
            raise ZeroDivisionError("nothing by nothing")
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.barrier()


def write_rank(group: Group, folder: Path) -> None:
    total = torch.tensor([group.rank + 1.0])
    if group.world > 1:
        torch.distributed.all_reduce(total)
    (folder / f"{group.rank}").write_text(f"{group.world} {total.item()}")


# ---- started on this machine


@pytest.fixture(scope="module")
def results(tmp_path_factory, root) -> list[dict]:
    """What two started processes wrote."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        launch(write_results, 2, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_each_process_knows_its_rank_and_has_its_share_of_the_threads(results):
    share = max(1, torch.get_num_threads() // 2)
    assert [result["group"] for result in results] == [(0, 2, "cpu", share), (1, 2, "cpu", share)]


@pytest.mark.parametrize("way", ["local", "with_gradient"])
def test_gather_puts_the_parts_of_all_processes_in_the_order_of_their_ranks(results, way):
    whole = torch.cat([own_part(Group(rank, 2, CPU), way) for rank in range(2)])
    for result in results:
        assert torch.equal(result[way][0], whole)
        assert result["integers"].tolist() == [0, 7, 1, 7]


def test_local_gather_gives_a_part_the_gradient_of_its_own_process_and_the_other_way_that_of_both(results):
    whole = torch.cat([own_part(Group(rank, 2, CPU), "") for rank in range(2)]).requires_grad_()
    (whole.square() * torch.arange(1.0, 9.0).view(4, 2)).sum().backward()
    for rank, result in enumerate(results):
        part = whole.grad[2 * rank : 2 * rank + 2]
        assert torch.equal(result["local"][1], part)
        assert torch.equal(result["with_gradient"][1], 2 * part)


def test_synchronised_batch_norm_is_batch_norm_of_the_whole_batch_forward_and_backward(results):
    network, inputs = batch_norm_network(), [values.requires_grad_() for values in batch_norm_inputs()]
    outputs = [layer(values) for layer, values in zip(network, inputs, strict=True)]
    some_loss(outputs, range(6)).backward()
    for layer in range(2):
        together = torch.cat([result["outputs"][layer] for result in results])
        gradient = torch.cat([result["inputs' gradients"][layer] for result in results])
        torch.testing.assert_close(together, outputs[layer], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradient, inputs[layer].grad, rtol=1e-4, atol=1e-5)
    for number, parameter in enumerate(network.parameters()):
        summed = sum(result["parameters' gradients"][number] for result in results)
        torch.testing.assert_close(summed, parameter.grad, rtol=1e-5, atol=1e-5)


def test_synchronised_batch_norm_has_the_names_and_the_running_statistics_of_batch_norm(results):
    network = batch_norm_network()
    for layer, values in zip(network, batch_norm_inputs(), strict=True):
        layer(values)
    for result in results:
        assert result["state"].keys() == network.state_dict().keys()
        for name, value in network.state_dict().items():
            torch.testing.assert_close(result["state"][name], value)


def test_running_statistics_can_be_kept_and_half_precision_stays_so(results):
    for result in results:
        assert all(torch.equal(result["kept"][name], value) for name, value in result["state"].items())
        assert result["half"] is torch.bfloat16


@pytest.mark.parametrize("training", [True, False])
def test_synchronised_batch_norm_of_one_process_is_exactly_batch_norm(training):
    plain, other = batch_norm_network().train(training), synchronised(batch_norm_network().train(training))
    for layer, twin, values in zip(plain, other, batch_norm_inputs(), strict=True):
        assert type(twin) is not type(layer)
        assert torch.equal(layer(values), twin(values))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_an_optimiser_made_before_synchronising_still_trains_the_network():
    network = batch_norm_network()
    before = list(network.parameters())
    assert all(a is b for a, b in zip(before, synchronised(network).parameters(), strict=True))


def test_a_batch_norm_that_does_more_is_refused():
    class WithActivation(nn.BatchNorm2d):
        pass

    with pytest.raises(ConfigError, match="layer 0, a WithActivation; write sync_batchnorm: false"):
        synchronised(nn.Sequential(WithActivation(3)))


# ---- failures


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("its own error", ConfigError, "^train.batch is odd; write an even one$"),
        ("a bug", CloomeError, "^number 1 of 2 training processes failed with ZeroDivisionError: nothing by nothing$"),
        ("a kill", CloomeError, "^number 1 of 2 training processes was killed by SIGKILL; if memory ran out, write"),
    ],
)
def test_the_process_that_fails_first_gives_the_one_error_not_those_that_wait_for_it(how, kind, text, capfd, caplog):
    with pytest.raises(CloomeError, match=text) as caught:
        launch(fail, 2, how)
    assert type(caught.value) is kind
    assert "Traceback" not in capfd.readouterr().err
    assert ("Traceback" in caplog.text) == (how == "a bug")


# ---- this process


def test_one_process_is_this_one():
    for processes in (1, None):
        found = []
        launch(lambda group, list_: list_.append((group, os.getpid())), processes, found)
        assert found == [(Group.alone(CPU), os.getpid())]


def test_processes_of_torchrun_find_each_other_and_end_well(tmp_path, root):
    """Without torchrun itself, whose own port and start are slow: the variables that it sets."""
    code = (
        "import sys; from pathlib import Path; from tests.train.test_processes import write_rank, launch;"
        "launch(write_rank, None, Path(sys.argv[1])); print('after')"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    for rank, process in enumerate(started):
        assert process.communicate(timeout=60)[0] == "after\n"
        assert process.returncode == 0
        assert (tmp_path / f"{rank}").read_text() == "2 3.0"


def test_of_the_processes_of_a_training_the_first_speaks(monkeypatch):
    assert is_first()
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for rank, first in (("0", True), ("1", False)):
        for name, value in (meeting | {"RANK": rank}).items():
            monkeypatch.setenv(name, value)
        assert is_first() is first


def test_torchrun_says_where_a_process_is():
    variables = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    place = place_of(variables)
    assert (place.rank, place.world, place.local, place.meeting) == (3, 4, 1, "env://")
    assert place_of({**variables, "WORLD_SIZE": "1"}) is None


SRUN = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08,11],other",
    "SLURM_CPUS_PER_TASK": "6",
}


def test_srun_says_where_a_process_is_and_all_its_processes_meet_on_the_first_node():
    place = place_of(SRUN)
    assert (place.rank, place.world, place.local, place.threads) == (5, 8, 1, 6)
    assert place.meeting.startswith("tcp://gpu07:")
    port = int(place.meeting.rpartition(":")[2])
    assert 20_000 <= port < 30_000
    assert place_of({**SRUN, "SLURM_PROCID": "0"}).meeting == place.meeting
    assert place_of({**SRUN, "SLURM_STEP_ID": "1"}).meeting != place.meeting
    assert place_of({**SRUN, "MASTER_ADDR": "login", "MASTER_PORT": "77"}).meeting == "tcp://login:77"


def test_a_single_task_and_a_batch_script_of_slurm_start_their_own_processes():
    assert place_of({**SRUN, "SLURM_NTASKS": "1"}) is None
    assert place_of({name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}) is None


@pytest.mark.parametrize(
    ("nodes", "host"),
    [("one", "one"), ("a,b", "a"), ("n[3-5]", "n3"), ("n[03,07-09],m", "n03"), ("r[1-2]n[04-06],x", "r1n04")],
)
def test_the_first_host_of_a_node_list(nodes, host):
    assert first_host(nodes) == host
