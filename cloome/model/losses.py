"""Contrastive losses between the embeddings of images and molecules of one batch (FACTS 4, rows 14 and 15).

Row i of the images belongs to row i of the molecules. All losses take two masks, bool (N, N) and symmetric:

same
    Pairs of one molecule, with a true diagonal; they are positive. Without it only the diagonal is, as upstream.
ignored
    Pairs off the diagonal, none of them in `same`, that are neither positive nor negative.
"""

import torch
import torch.nn.functional as F

# Takes the place of what is left out of a sum of exponentials, as upstream; exp(-1000) is 0 in single precision.
LEFT_OUT = -1000.0


def info_nce(
    x: torch.Tensor,
    y: torch.Tensor,
    inv_tau: float | torch.Tensor,
    *,
    same: torch.Tensor | None = None,
    ignored: torch.Tensor | None = None,
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
        Positive pairs, see above: the target is uniform over them.
    ignored : bool (N, N), optional
        Pairs left out, see above.

    Returns
    -------
    scalar tensor
    """
    return _cross_entropies(inv_tau * x @ y.T, _positives(x, same).to(x.dtype), ignored)


def cwcl(
    x: torch.Tensor,
    y: torch.Tensor,
    inv_tau: float | torch.Tensor,
    similarity: torch.Tensor,
    *,
    ignored: torch.Tensor | None = None,
) -> torch.Tensor:
    """Continuously weighted contrastive loss (Srinivasa et al. 2023), here in both directions, with their mean.

    InfoNCE whose target is not one pair but all, in proportion to how similar their molecules are.

    Parameters
    ----------
    x, y, inv_tau, ignored
        As for `info_nce`.
    similarity : float (N, N)
        Weight of each pair, 0..1, above 0 on the diagonal; for instance `tanimoto` of the fingerprints. With the
        identity the loss is InfoNCE.

    Returns
    -------
    scalar tensor
    """
    return _cross_entropies(inv_tau * x @ y.T, similarity, ignored)


def siglip(
    x: torch.Tensor,
    y: torch.Tensor,
    inv_tau: float | torch.Tensor,
    bias: float | torch.Tensor,
    *,
    same: torch.Tensor | None = None,
    ignored: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sigmoid loss (Zhai et al. 2023): each pair is judged on its own; sum over the batch, mean over its rows.

    Parameters
    ----------
    x, y, inv_tau, same, ignored
        As for `info_nce`.
    bias : float or scalar tensor
        Added to the scaled similarities; about -log N makes an untrained model expect few positives.

    Returns
    -------
    scalar tensor
    """
    sign = torch.where(_positives(x, same), 1.0, -1.0)
    terms = -F.logsigmoid(sign * (inv_tau * x @ y.T + bias))
    if ignored is not None:
        terms = terms.masked_fill(ignored, 0.0)
    return terms.sum(dim=1).mean()


def cloob(
    x: torch.Tensor,
    y: torch.Tensor,
    inv_tau: float | torch.Tensor,
    hopfield_scale: float,
    *,
    same: torch.Tensor | None = None,
    ignored: torch.Tensor | None = None,
) -> torch.Tensor:
    """CLOOB: InfoLOOB on patterns that both sides retrieve from the batch; the two sides are summed.

    Parameters
    ----------
    x, y, inv_tau
        As for `info_nce`.
    hopfield_scale : float
        Scaling (beta) of the Hopfield retrieval, which sees all patterns of the batch whatever the masks say.
    same : bool (N, N), optional
        Positive pairs, see above: they count with their mean, and never as negatives. A row without any negative
        adds nothing for them.
    ignored : bool (N, N), optional
        Pairs left out, see above.

    Returns
    -------
    scalar tensor
    """
    same = _positives(x, same)
    no_negative = same if ignored is None else same | ignored
    images, molecules = hopfield(x, x, hopfield_scale), hopfield(y, y, hopfield_scale)
    images_by_molecule, molecules_by_image = hopfield(y, x, hopfield_scale), hopfield(x, y, hopfield_scale)
    return _info_loob(images, images_by_molecule, inv_tau, same, no_negative) + _info_loob(
        molecules, molecules_by_image, inv_tau, same, no_negative
    )


def hopfield(state: torch.Tensor, stored: torch.Tensor, scale: float) -> torch.Tensor:
    """Retrieve for each state pattern (N, D) a mean of the stored patterns (M, D) that it resembles; unit length."""
    return F.normalize(torch.softmax(scale * state @ stored.T, dim=1) @ stored, dim=1)


def tanimoto(fingerprints: torch.Tensor) -> torch.Tensor:
    """Similarity of all molecules of a batch.

    Parameters
    ----------
    fingerprints : float (N, bits)
        Bits or counts, not negative.

    Returns
    -------
    float (N, N), 0..1
        Sum of the smaller over sum of the larger entries, which for bits is the shared over the set ones. Two empty
        fingerprints have 1, as in RDKit.
    """
    total = fingerprints.sum(dim=1)
    both = total[:, None] + total[None, :]
    # min = (a + b - |a - b|) / 2 and max = (a + b + |a - b|) / 2, so no (N, N, bits) array is needed.
    difference = torch.cdist(fingerprints, fingerprints, p=1)
    return torch.where(both > 0, (both - difference) / (both + difference).clamp(min=1), 1.0)


def _cross_entropies(logits: torch.Tensor, weights: torch.Tensor, ignored: torch.Tensor | None) -> torch.Tensor:
    """Mean of the cross-entropies along rows and columns; targets are the weights, scaled to a sum of 1."""
    if ignored is not None:
        logits, weights = logits.masked_fill(ignored, LEFT_OUT), weights.masked_fill(ignored, 0.0)
    rows = F.cross_entropy(logits, weights / weights.sum(dim=1, keepdim=True))
    columns = F.cross_entropy(logits.T, weights.T / weights.T.sum(dim=1, keepdim=True))
    return (rows + columns) / 2


def _info_loob(
    a: torch.Tensor, b: torch.Tensor, inv_tau: float | torch.Tensor, same: torch.Tensor, no_negative: torch.Tensor
) -> torch.Tensor:
    """Leave-one-out bound: positives are not among the negatives that they are compared with."""
    similarity = inv_tau * a @ b.T
    positive = -(similarity * same).sum(dim=1) / same.sum(dim=1)
    negative = similarity.masked_fill(no_negative, LEFT_OUT).logsumexp(dim=1)
    negative = torch.where(no_negative.all(dim=1), 0.0, negative)
    return (positive + negative).mean() / inv_tau


def _positives(x: torch.Tensor, same: torch.Tensor | None) -> torch.Tensor:
    return torch.eye(len(x), dtype=torch.bool, device=x.device) if same is None else same
