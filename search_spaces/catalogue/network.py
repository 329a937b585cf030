"""Hyperparameters of the network and its initial weights."""

from search_spaces.hyperparameter import Hyperparameter

CONVOLUTIONAL = ("model", ("cnn", "resnet"))

MODEL = Hyperparameter(
    name="model",
    meaning="kind of network",
    default="mlp",
    kind="network",
    role="scientific",
    advice="linear as a baseline, the MLP for a first study, convolutions for images",
    values=("mlp", "cnn", "resnet", "linear"),
)

HIDDEN_SIZES = Hyperparameter(
    name="hidden_sizes",
    meaning="units of each hidden layer",
    default=(512, 256),
    kind="network",
    role="scientific",
    advice="too wide costs time, too narrow costs accuracy; layers of one shape or falling "
    "(Bengio 2012, 3.2)",
    values=((128,), (256, 128), (512, 256), (1024, 512), (512, 512, 512)),
    condition=("model", ("mlp",)),
)

CHANNELS = Hyperparameter(
    name="channels",
    meaning="channels of each stage",
    default=(32, 64),
    kind="network",
    role="scientific",
    advice="doubled where the image is halved (Simonyan and Zisserman 2014)",
    values=((16, 32), (32, 64), (32, 64, 128)),
    condition=CONVOLUTIONAL,
)

DEPTH = Hyperparameter(
    name="depth",
    meaning="convolutions, or residual blocks, of a stage",
    default=1,
    kind="network",
    role="scientific",
    advice="2 cover as much as one of 5 pixels, at lower cost (Simonyan and Zisserman 2014); more "
    "than 3 only with skip connections (He et al. 2016)",
    values=(1, 2, 3),
    ordered=True,
    condition=CONVOLUTIONAL,
)

KERNEL_SIZE = Hyperparameter(
    name="kernel_size",
    meaning="side of a convolution's window, in pixels",
    default=3,
    kind="network",
    advice="3, stacked, covers as much as 5 at lower cost (Simonyan and Zisserman 2014)",
    values=(3, 5),
    ordered=True,
    condition=CONVOLUTIONAL,
)

ACTIVATION = Hyperparameter(
    name="activation",
    meaning="non-linearity between layers",
    default="relu",
    kind="network",
    advice="ReLU first; GELU, SiLU and tanh seldom change a ranking",
    values=("relu", "gelu", "silu", "tanh"),
    condition=("model", ("mlp", "cnn", "resnet")),
)

NORM_DENSE = Hyperparameter(
    name="norm",
    meaning="normalisation before each non-linearity",
    default="none",
    kind="network",
    advice="none in a shallow MLP; batch norm allows higher learning rates (Ioffe and Szegedy "
    "2015), layer norm does not depend on the batch (Ba et al. 2016)",
    values=("none", "batch", "layer"),
    condition=("model", ("mlp",)),
)

NORM_CONVOLUTIONAL = Hyperparameter(
    name="norm",
    meaning="normalisation before each non-linearity",
    default="batch",
    kind="network",
    advice="batch norm, unless batches, or parts of one, are below 16 (Wu and He 2018)",
    values=("none", "batch", "layer"),
    condition=CONVOLUTIONAL,
)

PRETRAINED = Hyperparameter(
    name="pretrained",
    meaning="path of the weights to start from; empty for random ones",
    default="",
    kind="network",
    role="fixed",
    advice="the best checkpoint of an earlier study, or any state dict of the same network; the "
    "space of a job gives its paths",
    values=("",),
)

FREEZE_EPOCHS = Hyperparameter(
    name="freeze_epochs",
    meaning="first epochs in which only the head is trained, with pretrained weights",
    default=0,
    kind="network",
    advice="1 or 2 for a new head: until it has learned, its gradients would distort the "
    "pretrained body (Kumar et al. 2022). A grace period must cover it",
    values=(0, 1, 2),
    ordered=True,
)
