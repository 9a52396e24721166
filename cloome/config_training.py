"""Settings of the network, its training, and how it is run."""

from typing import Annotated, Literal

from pydantic import Field

from cloome.config_base import Count, Fraction, NotNegative, Positive, Section

METHODS = ("clip", "cloob", "siglip", "cwcl")
# Runs beside the models: trained on shuffled pairs, and not trained at all.
CONTROLS = ("shuffled", "untrained")
Method = Literal["clip", "cloob", "siglip", "cwcl"]
# Runs of the published weights, which were trained for two purposes (FACTS 5.4): run name -> the paper's tables.
PUBLISHED_TABLES = {"published_retrieval": (1, 3, 4), "published_bioactivity": (2,)}


class Model(Section):
    """The two encoders."""

    source: Literal["trained", "published"] = Field(
        "trained", description="published: nothing is trained; the published weights make all tables."
    )
    encoder: Annotated[str, Field(pattern=r"^(resnet14|resnet26|resnet50|resnet101|resnet152|timm:[\w.]+)$")] = Field(
        "resnet50",
        description="The image encoder: resnet14, resnet26, resnet50, resnet101, resnet152, or timm:NAME for a "
        "backbone of the library timm.",
    )
    encoder_weights: str | None = Field(
        None, description="File of weights that a timm backbone starts from; null: random weights."
    )
    width: Annotated[int, Field(ge=4)] = Field(64, description="Channels after the ResNet's stem.")
    pool: Count = Field(
        7, description="Window of the ResNet's centre-weighted average pooling, in cells of the feature map."
    )
    hidden: Count = Field(1024, description="Width of the molecule encoder's hidden layers.")
    hidden_layers: Count = Field(4, description="Hidden layers of the molecule encoder.")
    embedding: Count = Field(512, description="Dimension of the shared embedding space.")
    normalisation: Literal["paper", "measured"] = Field(
        "paper",
        description="paper: mean and 'std' of the upstream code, where std equals the mean; measured: exact mean and "
        "standard deviation of the training images.",
    )


class Train(Section):
    """Contrastive training."""

    epochs: Count = Field(32, description="Passes over the training images.")
    batch: Annotated[int, Field(ge=2)] = Field(64, description="Image-molecule pairs in a batch.")
    micro_batch: Count | None = Field(
        None,
        description="Pairs that pass the network at once, each such part with its own batch statistics; the loss is "
        "still that of the whole batch, which may then be larger than memory holds. null: all of the batch.",
    )
    bag: Count = Field(
        1,
        description="Images of one well whose embeddings are averaged before the loss; 1: image by image, as upstream.",
    )
    crop: Annotated[int, Field(ge=32)] = Field(224, description="Side of the random square crop in pixels.")
    augmentation: Literal["crop", "crop_and_symmetry"] = Field(
        "crop", description="crop: as upstream; crop_and_symmetry: also one of the eight flips and rotations."
    )
    duplicates: Literal["negatives", "positives", "masked", "never"] = Field(
        "negatives",
        description="Several images of one molecule in a batch: negatives of each other, as upstream; positives; "
        "masked: neither; or never: batches are drawn without them.",
    )
    learning_rate: Positive = Field(5.0e-4, description="Peak learning rate of AdamW.")
    beta1: Fraction = Field(0.9, description="First moment's decay in AdamW.")
    beta2: Fraction = Field(0.999, description="Second moment's decay in AdamW.")
    epsilon: Positive = Field(1.0e-8, description="AdamW's epsilon.")
    weight_decay: NotNegative = Field(0.2, description="Decoupled weight decay.")
    decay: Literal["upstream", "weights"] = Field(
        "upstream",
        description="What decays. upstream: all but names with bn, ln or bias (so the temperature and some "
        "BatchNorm weights decay); weights: tensors of two or more dimensions.",
    )
    warmup: Annotated[int, Field(ge=0)] = Field(10_000, description="Steps of linear warm-up.")
    warmup_epochs: NotNegative | None = Field(
        None, description="Linear warm-up in epochs, parts of one included; takes the place of warmup."
    )
    schedule: Literal["cosine", "cosine_restarts"] = Field("cosine", description="Learning rate after the warm-up.")
    restarts: Count = Field(1, description="Cycles of the schedule cosine_restarts.")
    inv_tau: Annotated[float, Field(ge=1.0, le=100.0)] = Field(14.3, description="Initial inverse temperature.")
    learn_inv_tau: bool = Field(False, description="Train the temperature; clamped to 1..100 after each step.")
    hopfield_scale: Positive = Field(14.3, description="Scaling (beta) of the Hopfield retrieval in cloob.")
    gather: Literal["local", "with_gradient"] = Field(
        "local",
        description="With several processes. local: embeddings of other processes are constants in the loss, as "
        "upstream; with_gradient: the gradient of the whole batch.",
    )
    sync_batchnorm: bool = Field(
        False, description="Batch statistics over all processes; false: each its own, as upstream."
    )
    gradient_clip: Positive | None = Field(
        None, description="Largest length of the gradient; null: not clipped, as upstream."
    )
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None,
        description="Decay per step of a moving average of the weights, which is then the model; null: the weights.",
    )
    keep: Literal["last", "best"] = Field(
        "last", description="The model of the last epoch, or of the one that is best on the validation part."
    )
    criterion: Literal["loss", "retrieval"] = Field(
        "retrieval",
        description="What is best: the lowest validation loss, or the highest mean of the top-1 accuracies of both "
        "directions among all validation pairs.",
    )
    patience: Count | None = Field(
        None, description="Stop after so many epochs without a better one; null: train all epochs."
    )
    compile: bool = Field(False, description="Compile the image encoder with torch.compile; needs a C++ compiler.")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float16",
        description="Arithmetic of the forward pass. On a CPU, float16 becomes float32, and so does bfloat16 where the "
        "processor has no AVX-512.",
    )


class Running(Section):
    """How training and embedding run on this machine; a change of it redoes nothing."""

    processes: Count | None = Field(
        None,
        description="Processes that train or embed on this machine, one per GPU; null: as many as GPUs are visible.",
    )
    readers: Count = Field(4, description="Threads that read images for each of these.")
    gpu: bool = Field(
        False,
        description="Training and embedding must run on a GPU: with --sdm conda their environments hold the CUDA build "
        "of PyTorch, whatever machine solves them.",
    )
    tensorboard: bool = Field(
        False, description="Write TensorBoard files beside the training log; needs the package tensorboard."
    )
