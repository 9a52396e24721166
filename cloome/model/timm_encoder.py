"""Image encoders of the library timm, with any number of channels; timm is optional and loaded only when asked for."""

import difflib
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from cloome.errors import CloomeError, ConfigError, FormatError

PREFIX = "timm:"
RGB = 3  # channels of the images that backbones are usually trained on


class TimmEncoder(nn.Module):
    """A backbone of timm and a linear layer to the embedding.

    Parameters
    ----------
    backbone : Module
        Float images (N, C, H, W) to features (N, F).
    features : int
        F.
    embedding : int
        Dimension of the output.
    """

    def __init__(self, backbone: nn.Module, features: int, embedding: int):
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(features, embedding)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Encode normalised images, float (N, C, H, W), as float (N, embedding), not normalised.

        Raises
        ------
        ConfigError
            If the backbone does not take images of this size.
        """
        try:
            features = self.backbone(images)
        except AssertionError as error:  # timm's own check of the size
            raise ConfigError(
                f"the timm backbone does not take images of {images.shape[-2]} x {images.shape[-1]} pixels ({error}); "
                "change train.crop, embed.height and embed.width, or take another backbone"
            ) from error
        return self.fc(features)


def timm_encoder(name: str, channels: int, embedding: int, weights: str | Path | None) -> TimmEncoder:
    """Build a backbone by its name in timm, with an output layer of random weights.

    Parameters
    ----------
    name : str
        As in ``timm.list_models()``, such as ``resnet50`` or ``vit_small_patch16_224``. A transformer takes images of
        every size, where timm's one does.
    channels : int
        Channels of the images.
    embedding : int
        Dimension of the output.
    weights : path or None
        Local file for `load_backbone`; None: random weights. Nothing is downloaded.

    Raises
    ------
    CloomeError
        If timm is not installed or cannot be loaded.
    ConfigError
        If timm has no such backbone, or it cannot be built for so many channels.
    FormatError
        If the file does not hold the weights of this backbone.
    """
    backbone = _create(_timm(), name, channels)
    if weights is not None:
        load_backbone(backbone, weights)
    # Some backbones widen their features once more before the classifier.
    features = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return TimmEncoder(backbone, features, embedding)


def load_backbone(backbone: nn.Module, path: str | Path) -> None:
    """Fill a backbone with the weights of a local file; nothing in the file is run.

    Parameters
    ----------
    backbone : Module
        Backbone of timm without a classifier; its ``pretrained_cfg`` says what the classifier is called.
    path : path
        ``.safetensors``, or a file of PyTorch with the names of timm, bare or under ``state_dict`` or ``model``.
        A convolution of RGB images becomes one of the backbone's channels as `adapt_channels` says.

    Raises
    ------
    FormatError
        If the file is missing, cannot be read, or does not have exactly this backbone's names and shapes.
    """
    weights, expected = _read(path), backbone.state_dict()
    classifier = backbone.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{head}." for head in ([classifier] if isinstance(classifier, str) else classifier))
    weights = {name: tensor for name, tensor in weights.items() if name in expected or not name.startswith(heads)}
    strange = sorted(set(weights) ^ set(expected))
    if strange:
        missing = "the file lacks" if strange[0] in expected else "the backbone lacks"
        raise _other_backbone(path, f"{len(strange)} names differ; {missing} {strange[0]}")
    for name, tensor in weights.items():
        shape = expected[name].shape
        if tensor.shape != shape and _is_of_rgb(tensor.shape, shape):
            weights[name] = tensor = adapt_channels(tensor, shape[1])
        if tensor.shape != shape:
            raise _other_backbone(path, f"{name} is {tuple(tensor.shape)}, not {tuple(shape)}")
    backbone.load_state_dict(weights)


def adapt_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Turn the first convolution's weights of RGB images into those of any number of channels, as timm does.

    Parameters
    ----------
    weight : float (F, 3, h, w)
        Weights for red, green and blue.
    channels : int
        C. One channel gets the sum. For more, the three are repeated in turn and scaled by 3 / C, so that the same
        picture in each channel gives the same response.

    Returns
    -------
    float (F, C, h, w)
    """
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, torch.arange(channels) % RGB] * (RGB / channels)


def _is_of_rgb(found: torch.Size, expected: torch.Size) -> bool:
    return len(found) == 4 and found[1] == RGB and (found[0], *found[2:]) == (expected[0], *expected[2:])


def _timm() -> ModuleType:
    try:
        import timm
    # torchvision, which timm imports, fails in many ways where it was built for another torch.
    except Exception as error:
        raise CloomeError(
            f"model.encoder needs the library timm, which cannot be loaded ({type(error).__name__}: {error}); install "
            f"it with `pip install 'cloome[timm]'`, and with it a torchvision that fits this torch {torch.__version__} "
            "(same release, same CPU or CUDA build), or write encoder: resnet50, which needs neither"
        ) from error
    return timm


def _create(timm: ModuleType, name: str, channels: int) -> nn.Module:
    # Only transformers know these: position embeddings for every image size, edges padded to whole patches.
    any_size = {"dynamic_img_size": True, "dynamic_img_pad": True}
    if not timm.is_model(name):
        alike = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.0)
        raise ConfigError(f"model.encoder: timm has no backbone {name!r}; nearest names: {', '.join(alike)}")
    for more in (any_size, {}):
        try:
            return timm.create_model(name, pretrained=False, in_chans=channels, num_classes=0, **more)
        except TypeError as error:
            failure = error
        except Exception as error:  # whatever a backbone raises that is not made for this
            failure = error
            break
    raise ConfigError(
        f"model.encoder: timm cannot build {name!r} for {channels} channels ({failure}); take another backbone"
    ) from failure


def _read(path: str | Path) -> dict[str, torch.Tensor]:
    if not Path(path).is_file():
        raise FormatError(f"{path}: no such file; write the path of the backbone's weights to model.encoder_weights")
    try:
        if Path(path).suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise CloomeError(f"{path}: needs the library safetensors; `pip install 'cloome[timm]'` brings it") from error
    except Exception as error:  # a damaged file fails in whichever part of the reader first meets the damage
        raise FormatError(
            f"{path}: truncated, or no file of plain weights; download it again, or take the .safetensors one"
        ) from error
    for key in ("state_dict", "model"):
        content = content[key] if isinstance(content, dict) and isinstance(content.get(key), dict) else content
    if not isinstance(content, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise FormatError(f"{path}: no dictionary of weights; take a file that timm publishes for the backbone")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _other_backbone(path: str | Path, difference: str) -> FormatError:
    return FormatError(
        f"{path}: not the weights of this backbone ({difference}); take the file of the backbone in model.encoder"
    )
