"""The two networks of pix2pix: a U-Net generator and a 70 x 70 PatchGAN discriminator.

Isola P, Zhu J-Y, Zhou T, Efros AA. Image-to-image translation with conditional adversarial networks. CVPR 2017
(appendix 6.1). Predict in evaluation mode: batch norm then keeps its statistics, and dropout is off unless it is
switched on again to sample the uncertainty (:mod:`bids_spectsynth.synthesis.prediction.predict`).
"""

import math
from typing import Self

import torch
from torch import Tensor, nn

from bids_spectsynth.synthesis.data.cropping import LEVELS, Size

#: Halvings of the image in the published network, from 256 x 256 to 1 x 1.
MAX_LEVELS = 8
#: Up-convolutions from the innermost on that have dropout.
DROPOUT_BLOCKS = 3
#: Feature maps grow up to this multiple of ``base_filters``.
MAX_MULTIPLE = 8


def unet_levels(height: int, width: int) -> int:
    """Halvings that an image of this size allows, 8 at most.

    Parameters
    ----------
    height, width : int
        Size of a slice in pixels; both must be divisible by 2 to the power of the result.

    Raises
    ------
    ValueError
        The size is too small or is not divisible.
    """
    levels = min(MAX_LEVELS, int(math.log2(min(height, width)))) if min(height, width) > 0 else 0
    if levels < 2 or height % 2**levels or width % 2**levels:
        raise ValueError(f"a slice of {height} x {width} pixels cannot be halved evenly down to one pixel")
    return levels


def network_levels(size: Size, whole: Size) -> int:
    """Halvings of the network that learns from slices of a size, cut out of whole ones where that is larger.

    Raises
    ------
    ValueError
        Whole slices that cannot be halved down to one pixel.
    """
    return unet_levels(*whole) if size == whole else LEVELS


class UNetGenerator(nn.Module):
    """U-Net with skip connections that maps input slices to one slice in (-1, 1).

    Parameters
    ----------
    input_channels : int
    output_channels : int
        1, or 2: then the second is the logarithm of the scale of the first one's error (:class:`ScaleHead`).
    base_filters : int
        Feature maps of the outermost level, 64 in the article; they double per level up to eight times that.
    levels : int
        Number of halvings, 8 for 256 x 256; see :func:`unet_levels`.

    Notes
    -----
    Down: convolution 4 x 4 of stride 2, batch norm (neither at the outermost nor at the innermost level, where one
    pixel may be left), LeakyReLU 0.2. Up: ReLU, transposed convolution, batch norm, dropout 0.5 in the three innermost
    blocks, concatenation with the down path. The last is tanh.
    """

    def __init__(self, input_channels: int, output_channels: int = 1, base_filters: int = 64, levels: int = 8) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"{levels} levels: at least 2 needed")
        widths = [base_filters * min(2**level, MAX_MULTIPLE) for level in range(levels)]
        self.downs = nn.ModuleList()
        for level, width in enumerate(widths):
            previous = input_channels if level == 0 else widths[level - 1]
            self.downs.append(_down_block(previous, width, first=level == 0, last=level == levels - 1))
        self.ups = nn.ModuleList()
        wide_blocks = sum(width == base_filters * MAX_MULTIPLE for width in widths[:-1])
        for step, level in enumerate(range(levels - 1, 0, -1)):
            incoming = widths[level] if step == 0 else 2 * widths[level]
            dropout = step < min(DROPOUT_BLOCKS, wide_blocks)
            self.ups.append(_up_block(incoming, widths[level - 1], dropout=dropout))
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * widths[0], 1, 4, stride=2, padding=1), nn.Tanh())
        self.scale = ScaleHead(2 * widths[0], input_channels, base_filters) if output_channels == 2 else None
        self._frozen: tuple[nn.Module, ...] = ()

    def freeze(self, part: nn.Module) -> None:
        """Keep the statistics of batch norm in a part of the network, or in the whole of it, as they are."""
        self._frozen = (part,)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; a frozen part stays in evaluation, or batch norm would learn."""
        super().train(mode)
        for part in self._frozen:
            # Not the network's own method, which may be what is running.
            for module in part.modules():
                module.training = False
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Slices (N, input_channels, H, W) in (-1, 1) to slices (N, output_channels, H, W), the first in (-1, 1)."""
        inputs = image
        skips: list[Tensor] = []
        for down in self.downs:
            image = down(image)
            skips.append(image)
        skips.pop()
        for up in self.ups:
            image = torch.cat([_with_dense_gradient(up(image)), skips.pop()], dim=1)
        result: Tensor = self.last(image)
        return result if self.scale is None else torch.cat([result, self.scale(image, inputs, result)], dim=1)


class ScaleHead(nn.Module):
    """How large the error of each pixel is likely to be: the logarithm of the scale of a Laplace distribution.

    Parameters
    ----------
    feature_channels : int
        Of the U-Net's last feature maps, at half the image's size.
    input_channels : int
    width : int
        Feature maps within.

    Notes
    -----
    It looks at features, inputs and output of the U-Net without a way back: what it learns changes none of their
    gradients, so that the synthetic image is the same with it and without it.
    """

    def __init__(self, feature_channels: int, input_channels: int, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(feature_channels, width, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Conv2d(width + input_channels + 1, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, features: Tensor, inputs: Tensor, output: Tensor) -> Tensor:
        """Log scales of the error of slices.

        Parameters
        ----------
        features : tensor, shape (N, feature_channels, H / 2, W / 2)
        inputs : tensor, shape (N, input_channels, H, W)
        output : tensor, shape (N, 1, H, W)

        Returns
        -------
        tensor, shape (N, 1, H, W)
        """
        upsampled = self.up(torch.relu(features.detach()))
        result: Tensor = self.blocks(torch.cat([upsampled, inputs.detach(), output.detach()], dim=1))
        return result


def _with_dense_gradient(features: Tensor) -> Tensor:
    """The same feature maps; their gradient comes back dense, in their own layout.

    From a concatenation it comes as a part of a larger tensor, with gaps, for which batch norm on a CPU has only a slow
    way back: a fifth of the time of a whole step in bfloat16. What is compiled chooses its layouts itself.
    """
    if features.requires_grad and not torch.compiler.is_compiling():
        channels_last = features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        features.register_hook(  # type: ignore[no-untyped-call]  # torch annotates only in part
            lambda gradient: gradient.contiguous(memory_format=layout)
        )
    return features


def _down_block(incoming: int, outgoing: int, *, first: bool, last: bool) -> nn.Sequential:
    layers: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(incoming, outgoing, 4, stride=2, padding=1, bias=False))
    if not first and not last:
        layers.append(nn.BatchNorm2d(outgoing))
    return nn.Sequential(*layers)


def _up_block(incoming: int, outgoing: int, *, dropout: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.ReLU(),
        nn.ConvTranspose2d(incoming, outgoing, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outgoing),
    ]
    return nn.Sequential(*layers, nn.Dropout(0.5)) if dropout else nn.Sequential(*layers)


class PatchDiscriminator(nn.Module):
    """PatchGAN: each output value judges one 70 x 70 patch of the input and target slices together.

    Parameters
    ----------
    channels : int
        Input channels plus target channels.
    base_filters : int
    layers : int
        Convolutions of stride 2; three give the published field of 70 x 70 pixels.

    Notes
    -----
    The output are logits: there is no sigmoid, so that the loss can be computed without saturating.
    """

    def __init__(self, channels: int, base_filters: int = 64, layers: int = 3) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Conv2d(channels, base_filters, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        width = base_filters
        for layer in range(1, layers + 1):
            previous, width = width, base_filters * min(2**layer, MAX_MULTIPLE)
            stride = 2 if layer < layers else 1
            blocks.append(nn.Conv2d(previous, width, 4, stride=stride, padding=1, bias=False))
            blocks += [nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        blocks.append(nn.Conv2d(width, 1, 4, stride=1, padding=1))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Logits (N, 1, h, w), one per patch, for inputs (N, C, H, W) and a real or synthetic target (N, 1, H, W)."""
        result: Tensor = self.blocks(torch.cat([inputs, target], dim=1))
        return result


def init_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draw initial weights in place as published: convolutions N(0, 0.02), batch norm gains N(1, 0.02), biases 0."""
    # The scale head last: the other weights are the same with it and without it.
    modules = [module for name, module in network.named_modules() if not name.startswith("scale")]
    modules += [module for name, module in network.named_modules() if name.startswith("scale")]
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
            nn.init.zeros_(module.bias)


def parameter_count(network: nn.Module) -> int:
    """Number of values that a training can change, those of frozen parts included."""
    return sum(parameter.numel() for parameter in network.parameters())
