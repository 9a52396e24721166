"""Contrastive losses between the embeddings of images and molecules of one batch (FACTS 4, rows 14 and 15)."""

import torch
import torch.nn.functional as F

# Takes the place of a positive among the negatives, as upstream; exp(-1000) is 0 in single precision.
LEFT_OUT = -1000.0


def info_nce(
    x: torch.Tensor, y: torch.Tensor, inv_tau: float | torch.Tensor, *, same: torch.Tensor | None = None
) -> torch.Tensor:
    """InfoNCE, the loss of CLIP: mean of the cross-entropies image to molecule and molecule to image.

    Parameters
    ----------
    x : float (N, D)
        Image embeddings, unit length.
    y : float (N, D)
        Molecule embeddings, unit length; row i belongs to row i of `x`.
    inv_tau : float or scalar tensor
        Inverse temperature.
    same : bool (N, N), optional
        Pairs of the same molecule, symmetric and with a true diagonal: the target is uniform over them. Without it
        only the diagonal is positive, as upstream.

    Returns
    -------
    scalar tensor
    """
    same = _positives(x, same)
    target = same / same.sum(dim=1, keepdim=True)
    logits = inv_tau * x @ y.T
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def cloob(
    x: torch.Tensor,
    y: torch.Tensor,
    inv_tau: float | torch.Tensor,
    hopfield_scale: float,
    *,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """CLOOB: InfoLOOB on patterns that both sides retrieve from the batch; the two sides are summed.

    Parameters
    ----------
    x, y, inv_tau
        As for `info_nce`.
    hopfield_scale : float
        Scaling (beta) of the Hopfield retrieval.
    same : bool (N, N), optional
        Pairs of the same molecule, symmetric and with a true diagonal: they count as positives, with their mean, and
        never as negatives. A row that is positive throughout adds nothing to the negatives. Without it only the
        diagonal is positive, as upstream.

    Returns
    -------
    scalar tensor
    """
    same = _positives(x, same)
    images, molecules = hopfield(x, x, hopfield_scale), hopfield(y, y, hopfield_scale)
    images_by_molecule, molecules_by_image = hopfield(y, x, hopfield_scale), hopfield(x, y, hopfield_scale)
    return _info_loob(images, images_by_molecule, inv_tau, same) + _info_loob(
        molecules, molecules_by_image, inv_tau, same
    )


def hopfield(state: torch.Tensor, stored: torch.Tensor, scale: float) -> torch.Tensor:
    """Retrieve for each state pattern (N, D) a mean of the stored patterns (M, D) that it resembles; unit length."""
    return F.normalize(torch.softmax(scale * state @ stored.T, dim=1) @ stored, dim=1)


def _info_loob(a: torch.Tensor, b: torch.Tensor, inv_tau: float | torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Leave-one-out bound: positives are not among the negatives that they are compared with."""
    similarity = inv_tau * a @ b.T
    positive = -(similarity * same).sum(dim=1) / same.sum(dim=1)
    negative = similarity.masked_fill(same, LEFT_OUT).logsumexp(dim=1)
    negative = torch.where(same.all(dim=1), 0.0, negative)
    return (positive + negative).mean() / inv_tau


def _positives(x: torch.Tensor, same: torch.Tensor | None) -> torch.Tensor:
    return torch.eye(len(x), dtype=torch.bool, device=x.device) if same is None else same
