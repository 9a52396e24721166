"""How fast images are embedded from the plate store, beside the network's forward pass alone.

    python benchmarks/embedding.py --field ../shared/real/bray/field

The paper's ResNet-50 with random weights. The forward pass alone gets the same batch again and again, normalised and
on the device already; `cloome embed` reads, cuts, copies, normalises and collects as well. Both run in turn, and the
fastest round of each counts. On a CPU the crops are smaller by default, which makes the rest weigh more.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from crops import write_both

from cloome.config import PAPER_CHANNELS, Embed, Model
from cloome.data.fields import Fields
from cloome.embed.encode import image_features
from cloome.model.checkpoint import Checkpoint
from cloome.model.clip import build_model
from cloome.model.device import pick_device
from cloome.model.normalisation import paper

DEVICE = pick_device()
ON_GPU = DEVICE.type == "cuda"


def untrained() -> Checkpoint:
    """The paper's network before training, ready for use."""
    torch.manual_seed(0)
    model = Model()
    network = build_model(model, len(PAPER_CHANNELS), 1024, 14.3, False).eval()
    return Checkpoint(network, paper(PAPER_CHANNELS), PAPER_CHANNELS, {"model": model.model_dump()}, {}, {})


@torch.inference_mode()
def forward_alone(checkpoint: Checkpoint, fields: Fields, settings: Embed) -> Callable[[], None]:
    """A function that passes as many images as there are fields, all of them the first batch."""
    network = checkpoint.network.to(DEVICE, memory_format=torch.channels_last)
    count = min(settings.batch, len(fields))
    images = np.stack([fields[number][:, : settings.height, : settings.width] for number in range(count)])
    pixels = checkpoint.normalise(torch.from_numpy(images).to(DEVICE)).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(len(fields) // count):
                features = network.image_features(pixels)
            features.cpu()

    return run


def main() -> None:
    """Write the fields, time both, print the rates and how much the size of the batch changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", type=Path, required=True, help="folder with CHANNEL.tif of a real field")
    parser.add_argument("--fields", type=int, default=2048 if ON_GPU else 64, help="a multiple of the batch")
    parser.add_argument("--batch", type=int, default=256 if ON_GPU else 16)
    parser.add_argument("--height", type=int, default=520 if ON_GPU else 224)
    parser.add_argument("--width", type=int, default=696 if ON_GPU else 224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    arguments = parser.parse_args()
    settings = Embed(height=arguments.height, width=arguments.width, batch=arguments.batch)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        keys = write_both(arguments.field, Path(name), arguments.fields)
        fields, checkpoint = Fields([Path(name) / "none.h5"], keys), untrained()
        ways = {
            "forward pass alone": forward_alone(checkpoint, fields, settings),
            "cloome embed": lambda: image_features(checkpoint, fields, settings, DEVICE),
        }
        best = dict.fromkeys(ways, np.inf)
        for _ in range(arguments.rounds):
            for way, work in ways.items():
                begin = time.perf_counter()
                work()
                best[way] = min(best[way], time.perf_counter() - begin)
        print(f"{settings.height} x {settings.width} x {len(PAPER_CHANNELS)}, batches of {settings.batch}, {DEVICE}")
        alone = best["forward pass alone"]
        for way, seconds in best.items():
            print(f"{way:20} {arguments.fields / seconds:8.1f} images/s  {alone / seconds:6.1%}")
        few = Fields([Path(name) / "none.h5"], keys[: min(16, arguments.fields)])
        one, many = (
            image_features(checkpoint, few, settings.model_copy(update={"batch": batch}), DEVICE) for batch in (1, 256)
        )
        print(f"batch 1 beside 256: features differ by {np.abs(one - many).max() / np.abs(many).max():.1e} at most")


if __name__ == "__main__":
    main()
