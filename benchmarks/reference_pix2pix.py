"""The widely used form of pix2pix, rebuilt from Isola et al. 2017 as plain eager PyTorch, to compare speeds with.

Layers, losses and order of updates are those of the publication and of its common implementations: U-Net with eight
halvings and 64 feature maps (54.4 M parameters), 70 x 70 PatchGAN (2.77 M), batch norm, float32, Adam(0.5, 0.999); the
discriminator is updated on real and synthetic slices one after the other, then the generator. Nothing is shared with
the package.
"""

import torch
from torch import Tensor, nn

LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)
L1_WEIGHT = 100.0


class UNetLevel(nn.Module):
    """One level of the U-Net around the next inner one: down, the inner levels, up, and the skip connection."""

    def __init__(self, outer: int, inner: int, *, inside: nn.Module | None, dropout: bool = False) -> None:
        super().__init__()
        down: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1, bias=False)]
        if inside is not None:
            down.append(nn.BatchNorm2d(inner))
        incoming = inner if inside is None else 2 * inner
        up: list[nn.Module] = [
            nn.ReLU(),
            nn.ConvTranspose2d(incoming, outer, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outer),
        ]
        if dropout:
            up.append(nn.Dropout(0.5))
        self.down, self.up = nn.Sequential(*down), nn.Sequential(*up)
        self.inside = inside

    def forward(self, image: Tensor) -> Tensor:
        """The level's input with what the inner levels made of it behind it, along the channels."""
        inner = self.down(image)
        if self.inside is not None:
            inner = self.inside(inner)
        return torch.cat([self.up(inner), image], 1)


class Generator(nn.Module):
    """U-Net from (N, channels, 256, 256) to (N, 1, 256, 256)."""

    def __init__(self, channels: int, filters: int = 64) -> None:
        super().__init__()
        level = UNetLevel(filters * 8, filters * 8, inside=None, dropout=True)
        for dropout in (True, True, False):
            level = UNetLevel(filters * 8, filters * 8, inside=level, dropout=dropout)
        for multiple in (4, 2, 1):
            level = UNetLevel(filters * multiple, filters * multiple * 2, inside=level)
        self.first = nn.Conv2d(channels, filters, 4, 2, 1, bias=False)
        self.levels = level
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * filters, 1, 4, 2, 1), nn.Tanh())

    def forward(self, image: Tensor) -> Tensor:
        """Synthetic slices in (-1, 1)."""
        made: Tensor = self.last(self.levels(self.first(image)))
        return made


def discriminator(channels: int, filters: int = 64) -> nn.Sequential:
    """70 x 70 PatchGAN on (N, channels, 256, 256); logits (N, 1, 30, 30)."""
    layers: list[nn.Module] = [nn.Conv2d(channels, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
    for width, stride in ((2, 2), (4, 2), (8, 1)):
        layers += [
            nn.Conv2d(filters * width // 2, filters * width, 4, stride, 1, bias=False),
            nn.BatchNorm2d(filters * width),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Conv2d(filters * 8, 1, 4, 1, 1))


def init_weights(network: nn.Module) -> None:
    """Initial weights of the publication: convolutions N(0, 0.02), gains of batch norm N(1, 0.02)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


class ReferencePix2Pix:
    """Both networks, their optimisers, and a step of training."""

    def __init__(self, channels: int = 2, filters: int = 64, learning_rate: float = LEARNING_RATE) -> None:
        self.generator = Generator(channels, filters)
        self.discriminator = discriminator(channels + 1, filters)
        for network in (self.generator, self.discriminator):
            init_weights(network)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=learning_rate, betas=BETAS)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=learning_rate, betas=BETAS)
        self.gan_loss = nn.BCEWithLogitsLoss()

    def _judged(self, inputs: Tensor, target: Tensor, *, real: bool) -> Tensor:
        logits = self.discriminator(torch.cat([inputs, target], 1))
        loss: Tensor = self.gan_loss(logits, torch.full_like(logits, float(real)))
        return loss

    def step(self, inputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Update the discriminator, then the generator, by one batch; returns the losses as numbers."""
        fake = self.generator(inputs)
        self.discriminator.requires_grad_(True)
        self.optimizer_d.zero_grad()
        loss_fake = self._judged(inputs, fake.detach(), real=False)
        loss_real = self._judged(inputs, targets, real=True)
        loss_d = (loss_fake + loss_real) * 0.5
        loss_d.backward()
        self.optimizer_d.step()

        self.discriminator.requires_grad_(False)
        self.optimizer_g.zero_grad()
        adversarial = self._judged(inputs, fake, real=True)
        l1 = nn.functional.l1_loss(fake, targets)
        (adversarial + L1_WEIGHT * l1).backward()
        self.optimizer_g.step()
        return {"adversarial": adversarial.item(), "l1": l1.item(), "discriminator": loss_d.item()}

    @torch.no_grad()
    def predict(self, volume: Tensor) -> Tensor:
        """Synthetic slices (n, 1, 256, 256) for slices (n, channels, 256, 256), one at a time, in evaluation mode."""
        self.generator.eval()
        return torch.cat([self.generator(volume[k : k + 1]) for k in range(len(volume))])
