"""The work of one training step up to the gradients: embed a batch, take its loss, go back through the network."""

import math
import os
import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from cloome.config import Train
from cloome.errors import CloomeError, ConfigError
from cloome.model.clip import ClipModel
from cloome.model.losses import cloob, cwcl, info_nce, siglip, tanimoto
from cloome.model.normalisation import Normalisation
from cloome.train.batch_norm import running_statistics_kept, synchronised
from cloome.train.batches import Batch
from cloome.train.gather import gather
from cloome.train.processes import Group


class Step:
    """A network, and how the loss and its gradient follow from a batch.

    The network is moved to the group's device, in channels-last layout, and with several processes wrapped for
    them; its parameters remain the same objects, so an optimiser may be made before or after.

    Parameters
    ----------
    network : ClipModel
        The network; it stays what is saved, evaluated and put into training mode.
    normalise : Normalisation
        From 8-bit images to the network's input.
    fingerprints : uint8 (M, bits)
        Bits or counts of all molecules.
    settings : cloome.config.Train
        How to train.
    method : str
        clip, cloob, siglip or cwcl.
    precision : torch.dtype
        Arithmetic of the forward pass; the loss is always taken in float32.
    scaler : torch.amp.GradScaler
        Scales the loss before the backward pass, where it is enabled; gradients then hold its factor.
    group : Group
        The processes of the training.

    Raises
    ------
    ConfigError
        If BatchNorm cannot be synchronised, or there is no compiler for train.compile.
    """

    def __init__(
        self,
        network: ClipModel,
        normalise: Normalisation,
        fingerprints: np.ndarray,
        settings: Train,
        method: str,
        precision: torch.dtype,
        scaler: torch.amp.GradScaler,
        group: Group,
    ):
        # Measured faster on CPUs in float32 and bfloat16; the tensor cores of GPUs work in this layout.
        self._network = network.to(group.device, memory_format=torch.channels_last)
        self._normalise = normalise
        self._fingerprints = torch.as_tensor(fingerprints).to(group.device)
        self._settings, self._method, self._precision = settings, method, precision
        self._scaler, self._group = scaler, group
        if settings.sync_batchnorm and group.world > 1:
            synchronised(network)
        if settings.compile:
            _compile(network.visual)
        self._trained = network
        if group.world > 1:
            devices = [group.device] if group.device.type == "cuda" else None
            self._trained = DistributedDataParallel(network, device_ids=devices)

    def backward(self, batch: Batch) -> torch.Tensor:
        """Add the gradient of the loss of the whole batch, over all processes, to the parameters' gradients.

        Parts of train.micro_batch pairs pass the network one after another, without changing the loss, by cached
        embeddings (Gao et al. 2021, GradCache): all parts are embedded without a graph, the loss of these embeddings
        gives the gradient for each of them, and each part passes again, now with a graph, to take its share back to
        the weights. Nothing in the networks is random, so both passes give the same embeddings; the running
        statistics of BatchNorm change in the second only. BatchNorm itself normalises each part on its own.

        Parameters
        ----------
        batch : Batch
            This process's rows of the batch.

        Returns
        -------
        scalar tensor without a graph, the same in all processes

        Raises
        ------
        ConfigError
            If train.micro_batch leaves a part of a single pair, which has no batch statistics.
        CloomeError
            If the GPU's memory does not suffice.
        """
        parts = equal_parts(len(batch.molecule), self._settings.micro_batch)
        if min(len(part) for part in parts) < 2 and len(batch.molecule) > 1:
            raise ConfigError(
                f"train.micro_batch {self._settings.micro_batch} leaves a part of one pair, which has no batch "
                "statistics; write 3 or more"
            )
        try:
            if len(parts) == 1:
                return self._backward_at_once(batch)
            return self._backward_by_parts(batch, parts)
        except torch.cuda.OutOfMemoryError:
            raise CloomeError(memory_advice(self._settings, len(batch.molecule), max(map(len, parts)))) from None

    @torch.no_grad()
    def embed(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings of a batch's images and molecules, float32 (B, D) each, in the network's present mode.

        Items with several images have the mean of theirs. Not more pairs pass at once than in training; in
        evaluation mode that changes nothing.
        """
        limit = self._settings.micro_batch or self._settings.batch // self._group.world
        parts = equal_parts(len(batch.molecule), limit)
        embedded = [self._embed(self._network, batch, part) for part in parts]
        return torch.cat([x for x, _ in embedded]), torch.cat([y for _, y in embedded])

    def loss(self, x: torch.Tensor, y: torch.Tensor, molecule: torch.Tensor) -> torch.Tensor:
        """The loss of embedded pairs.

        Parameters
        ----------
        x, y : float32 (N, D)
            Embeddings of images and molecules, unit length.
        molecule : int64 (N,)
            Row of each pair's molecule in the table of fingerprints.

        Returns
        -------
        scalar tensor
        """
        settings, inv_tau = self._settings, self._network.inv_tau
        molecule = molecule.to(x.device, non_blocking=True)
        one_molecule = molecule[:, None] == molecule[None, :]
        others = one_molecule & ~torch.eye(len(molecule), dtype=torch.bool, device=x.device)
        same = one_molecule if settings.duplicates == "positives" else None
        ignored = others if settings.duplicates == "masked" else None
        if self._method == "clip":
            return info_nce(x, y, inv_tau, same=same, ignored=ignored)
        if self._method == "cloob":
            return cloob(x, y, inv_tau, settings.hopfield_scale, same=same, ignored=ignored)
        if self._method == "siglip":
            return siglip(x, y, inv_tau, self._network.logit_bias, same=same, ignored=ignored)
        similarity = tanimoto(self._fingerprints[molecule].float())
        if settings.duplicates == "negatives":
            # A molecule is fully similar to itself, so its other images are positives unless told otherwise.
            similarity = similarity.masked_fill(others, 0.0)
        return cwcl(x, y, inv_tau, similarity, ignored=ignored)

    def _backward_at_once(self, batch: Batch) -> torch.Tensor:
        loss = self._whole_loss(*self._embed(self._trained, batch, range(len(batch.molecule))), batch.molecule)
        self._scaler.scale(loss).backward()
        return loss.detach()

    def _backward_by_parts(self, batch: Batch, parts: list[range]) -> torch.Tensor:
        with torch.no_grad(), running_statistics_kept(self._network):
            cached = [self._embed(self._network, batch, part) for part in parts]
        x, y = (torch.cat(side).requires_grad_() for side in zip(*cached, strict=True))
        loss = self._whole_loss(x, y, batch.molecule)
        scalars = [p for p in (self._network.logit_inv_tau, self._network.logit_bias) if p is not None]
        scalars = [p for p in scalars if p.requires_grad]
        to_x, to_y, *to_scalars = torch.autograd.grad(self._scaler.scale(loss), [x, y, *scalars])
        for part in parts:
            last = part is parts[-1]
            # Processes add up their gradients once, in the last part, which therefore has those of the scalars too.
            separate = self._group.world > 1 and not last
            with self._trained.no_sync() if separate else nullcontext():
                ends = list(self._embed(self._trained, batch, part))
                gradients = [to_x[part.start : part.stop], to_y[part.start : part.stop]]
                if last:
                    ends, gradients = ends + scalars, gradients + to_scalars
                torch.autograd.backward(ends, gradients)
        return loss.detach()

    def _whole_loss(self, x: torch.Tensor, y: torch.Tensor, molecule: torch.Tensor) -> torch.Tensor:
        """The loss over all processes, each of which holds a part of the batch."""
        both = gather(torch.cat([x, y], dim=1), self._group, self._settings.gather == "with_gradient")
        molecule = gather(molecule.to(x.device, non_blocking=True), self._group, with_gradient=False)
        return self.loss(*both.chunk(2, dim=1), molecule)

    def _embed(self, network: torch.nn.Module, batch: Batch, part: range) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings of some of a batch's items."""
        device, bag = self._group.device, len(batch.images) // len(batch.molecule)
        some = _rows(batch, part, bag)
        images = self._normalise(some.images_on(device).contiguous(memory_format=torch.channels_last))
        fingerprints = self._fingerprints[some.molecule.to(device, non_blocking=True)].float()
        with torch.autocast(device.type, self._precision, enabled=self._precision is not torch.float32):
            x, y = network(images, fingerprints)
        if bag > 1:
            x = F.normalize(x.view(-1, bag, x.shape[1]).mean(dim=1), dim=1)
        return x, y


def _rows(batch: Batch, part: range, bag: int) -> Batch:
    """Some items of a batch, with all images of each."""
    items, images = slice(part.start, part.stop), slice(part.start * bag, part.stop * bag)
    return replace(
        batch,
        images=batch.images[images],
        molecule=batch.molecule[items],
        keys=batch.keys[images],
        symmetry=None if batch.symmetry is None else batch.symmetry[images],
    )


def equal_parts(count: int, largest: int | None) -> list[range]:
    """Split 0 to count - 1 into the fewest parts of at most `largest`, whose lengths differ by one at most."""
    number = math.ceil(count / largest) if largest else 1
    ends = [count * i // number for i in range(number + 1)]
    return [range(start, stop) for start, stop in pairwise(ends)]


def memory_advice(settings: Train, pairs: int, at_once: int) -> str:
    """What to write where `at_once` of a process's `pairs` pairs were too many for a GPU's memory.

    train.micro_batch becomes the largest power of two or divisor of `pairs` that is at most half of `at_once`.
    """
    sizes = {2**power for power in range(1, 32)} | {size for size in range(2, pairs) if pairs % size == 0}
    fitting = [
        size for size in sizes if size <= at_once // 2 and min(len(part) for part in equal_parts(pairs, size)) >= 2
    ]
    crop = f"a smaller train.crop than {settings.crop} ({settings.crop / math.sqrt(2):.0f} takes half the memory)"
    advice = [f"train.micro_batch: {max(fitting)}, which leaves the loss as it is"] if fitting else []
    advice += [f"train.bag: {settings.bag // 2}"] if settings.bag > 1 else []
    images = f"{at_once} pairs" if settings.bag == 1 else f"{at_once} pairs with {settings.bag} images each"
    return (
        f"the GPU's memory does not hold {images} of {settings.crop} x {settings.crop} pixels at once; "
        f"write {', or '.join([*advice, crop])}"
    )


def _compile(encoder: torch.nn.Module) -> None:
    """Compile in place, which leaves the names of the weights as they are."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"train.compile needs a C++ compiler, but there is no {compiler}; install one (for instance the conda "
            "package gxx), name it in the environment variable CXX, or write compile: false"
        )
    encoder.compile()
