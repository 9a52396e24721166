"""Size of the image encoder's last feature map; apart from the encoder, so that checking settings needs no PyTorch."""


def feature_cells(pixels: int) -> int:
    """Cells of the feature map along a side of so many pixels: 16 for 520, 21 for 696 (FACTS 4, row 13)."""
    # The stem's two strides round up, the three poolings of the stages round down.
    return -(-pixels // 4) // 8
