"""One optimisation step of pix2pix: the discriminator's, then the generator's."""

import logging
import math

import torch
from torch import Tensor, nn

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.computing.seeds import derived_seed, seed_dropout
from bids_spectsynth.synthesis.models.initial_model import InitialModel
from bids_spectsynth.synthesis.network.adversarial import discriminator_loss
from bids_spectsynth.synthesis.network.augmentation import augment
from bids_spectsynth.synthesis.network.averaging import AveragedWeights
from bids_spectsynth.synthesis.network.channels import generate
from bids_spectsynth.synthesis.network.losses import GeneratorLoss, LossBatch, generator_loss
from bids_spectsynth.synthesis.network.networks import PatchDiscriminator, UNetGenerator, init_weights
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.optimiser import Adam

logger = logging.getLogger(__name__)

BETAS = (0.5, 0.999)
Parts = list[tuple[Tensor, Tensor]]


def loss_names(config: TrainingConfig) -> tuple[str, ...]:
    """Losses that a step returns, in this order: the generator's sum, its terms, the discriminator's."""
    return ("generator", *config.loss_weights, "discriminator")


class Stepper:
    """Generator, discriminator, their optimisers, and how one batch changes them.

    Without a loss that needs it there is no discriminator.

    Parameters
    ----------
    config : TrainingConfig
    input_channels, levels : int
    computation : Computation
    processes : Processes
        Gradients are averaged over them.
    initial : InitialModel, optional
        Whose weights the networks start from.

    Attributes
    ----------
    n_parts : int
        Parts in which a batch is computed, their gradients added up: 1 until a GPU's memory does not suffice.
    """

    def __init__(
        self,
        config: TrainingConfig,
        input_channels: int,
        levels: int,
        computation: Computation,
        processes: Processes,
        initial: InitialModel | None = None,
    ) -> None:
        self.config, self.computation, self.processes = config, computation, processes
        self.device = computation.device
        self._weights = config.loss_weights
        self.recipe = config.recipe
        outputs = 2 if config.predicts_scale else 1
        self.generator = UNetGenerator(input_channels, outputs, config.base_filters, levels)
        init_weights(self.generator, torch.Generator().manual_seed(derived_seed(config.seed, "generator")))
        self.discriminator: PatchDiscriminator | None = None
        if config.has_discriminator:
            self.discriminator = PatchDiscriminator(input_channels + 1, config.base_filters)
            init_weights(self.discriminator, torch.Generator().manual_seed(derived_seed(config.seed, "discriminator")))
        networks: dict[str, nn.Module | None] = {"generator": self.generator, "discriminator": self.discriminator}
        self.networks = {name: network for name, network in networks.items() if network is not None}
        if initial is not None:
            initial.start(self.networks, levels)
        # Without a rate batch norm would still learn where the encoder alone is frozen.
        if config.changes_nothing:
            self.generator.freeze(self.generator)
        elif config.freeze == "encoder":
            self.generator.downs.requires_grad_(False)
            self.generator.freeze(self.generator.downs)
        self.optimizers: dict[str, Adam] = {}
        self._layout = computation.memory_format
        for name, network in self.networks.items():
            network.to(device=self.device, memory_format=self._layout)  # type: ignore[call-overload]
            processes.share_norm(network, self.device)
            network.train()
            self.optimizers[name] = Adam(network.parameters(), config.learning_rate, BETAS)
        # Before anything is wrapped around the generator: the average is a copy of it.
        self.average = AveragedWeights(self.generator, config.ema_decay) if config.ema_decay > 0 else None
        if computation.compiled:
            # Networks compiled before count towards a limit, beyond which nothing is compiled any more.
            torch.compiler.reset()
        # Gradients go to all processes while they arise, so what is called must know whether they are wanted.
        self._shared = {name: processes.with_shared_gradients(network) for name, network in self.networks.items()}
        self._trained = {name: computation.prepared(network) for name, network in self._shared.items()}
        self._frozen = computation.prepared(self.discriminator) if self.discriminator is not None else None
        self.n_parts = 1

    @property
    def predictor(self) -> UNetGenerator:
        """The generator for prediction: with weights averaged over the steps, where the configuration says so."""
        return self.average.network if self.average is not None else self.generator

    def weights(self) -> dict[str, Tensor]:
        """The weights for prediction, not copied."""
        return self.predictor.state_dict()

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of both optimisers."""
        for optimizer in self.optimizers.values():
            optimizer.set_rate(rate)

    def step(self, inputs: Tensor, targets: Tensor, seed: int) -> Tensor:
        """Update both networks by one batch.

        Parameters
        ----------
        inputs, targets : tensor, shape (N, C, H, W) and (N, 1, H, W), float32
            Real slices in (-1, 1).
        seed : int
            Of the dropout and the augmentation.

        Returns
        -------
        tensor, shape (L,), float64
            Losses in the order of :func:`loss_names`; NaN where a term is off. On the device, so that nothing waits.

        Raises
        ------
        ModelError
            One slice is too much for the GPU's memory, or with several processes a batch.
        """
        inputs = inputs.to(self.device, memory_format=self._layout)
        targets = targets.to(self.device, memory_format=self._layout)
        inputs, targets = augment(inputs, targets, self.config.augmentation, derived_seed("augment", seed), self.recipe)
        discriminator_loss_value: Tensor | None = None
        while True:
            parts = list(zip(inputs.chunk(self.n_parts), targets.chunk(self.n_parts), strict=True))
            try:
                fake = self._generate(parts[0][0], seed) if len(parts) == 1 else None
                if discriminator_loss_value is None:
                    discriminator_loss_value = self._discriminator_step(parts, fake, seed)
                losses = self._generator_step(parts, fake, seed)
                if self.average is not None:
                    self.average.update(self.generator)
                return torch.cat([losses, discriminator_loss_value.reshape(1)])
            except torch.cuda.OutOfMemoryError:
                # What the failed attempt holds is freed only once its traceback is gone, after this block.
                fake = None
            self._use_smaller_parts(inputs.shape[0])

    def _use_smaller_parts(self, batch_size: int) -> None:
        if self.processes.count > 1:
            # The others wait for this one's gradients, in the middle of a step that cannot be taken back.
            raise ModelError("out of GPU memory in one of several processes; use a smaller --batch-size")
        if self.n_parts >= batch_size:
            raise ModelError(
                "a single slice does not fit into the GPU's memory; use a smaller --base-filters, a larger "
                "--voxel-size, or --device cpu"
            )
        self.n_parts = min(2 * self.n_parts, batch_size)
        logger.warning("GPU out of memory: each batch is now computed in %d parts, gradients added up", self.n_parts)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _generate(self, inputs: Tensor, seed: int) -> Tensor:
        seed_dropout(self.device, seed)
        with self.computation.autocast():
            fake = generate(self._trained["generator"], inputs, self.recipe)
        return fake.float()

    @torch.no_grad()
    def _generate_without_trace(self, inputs: Tensor, seed: int) -> Tensor:
        """The slices that :meth:`_generate` gives, with batch norm's running statistics left as they were."""
        before = [buffer.clone() for buffer in self.generator.buffers()]
        fake = self._generate(inputs, seed)
        for buffer, value in zip(self.generator.buffers(), before, strict=True):
            buffer.copy_(value)
        return fake

    def _discriminator_step(self, parts: Parts, fake: Tensor | None, seed: int) -> Tensor:
        if self.discriminator is None:
            return torch.full((1,), math.nan, dtype=torch.float64, device=self.device)
        self.discriminator.requires_grad_(True)
        optimizer = self.optimizers["discriminator"]
        optimizer.zero_grad()
        n = sum(len(inputs) for inputs, _ in parts)
        total = torch.zeros(1, dtype=torch.float64, device=self.device)
        for number, (inputs, targets) in enumerate(parts):
            output = fake.detach() if fake is not None else self._generate_without_trace(inputs, seed + number)
            synthetic = output[:, :1]
            with self.computation.autocast():
                real_logits, fake_logits = (
                    self._trained["discriminator"](inputs, image) for image in (targets, synthetic)
                )
            loss = discriminator_loss(real_logits, fake_logits, self.config.adversarial_loss) * (len(inputs) / n)
            loss.backward()  # type: ignore[no-untyped-call]  # torch annotates only in part
            total += loss.detach()
        optimizer.step()
        return total

    def _generator_step(self, parts: Parts, fake: Tensor | None, seed: int) -> Tensor:
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
        optimizer = self.optimizers["generator"]
        optimizer.zero_grad()
        n = sum(len(inputs) for inputs, _ in parts)
        total = torch.zeros(1 + len(self._weights), dtype=torch.float64, device=self.device)
        for number, (inputs, targets) in enumerate(parts):
            synthetic = fake if fake is not None else self._generate(inputs, seed + number)
            loss = self._generator_loss(inputs, targets, synthetic)
            share = len(inputs) / n
            (loss.total * share).backward()  # type: ignore[no-untyped-call]
            total += share * torch.stack([loss.total.detach(), *loss.values.values()]).double()
        optimizer.step()
        return total

    def _generator_loss(self, inputs: Tensor, targets: Tensor, output: Tensor) -> GeneratorLoss:
        logits = None
        fake, log_scale = (output[:, :1], output[:, 1:]) if output.shape[1] > 1 else (output, None)
        if self._frozen is not None:
            with self.computation.autocast():
                logits = self._frozen(inputs, fake)
        return generator_loss(LossBatch(fake, targets, logits, self.config.adversarial_loss, log_scale), self._weights)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, buffers and optimiser states by name, for a checkpoint."""
        tensors: dict[str, Tensor] = {}
        for name, network in self.networks.items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
            tensors |= self.optimizers[name].tensors(f"optimizer.{name}")
        if self.average is not None:
            tensors |= self.average.tensors("average")
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over the :meth:`tensors` of a checkpoint.

        Raises
        ------
        ModelError
            They are of another network.
        """
        for name, network in self.networks.items():
            own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            try:
                network.load_state_dict(own)
            except RuntimeError as error:
                raise ModelError("the checkpoint is of another network; delete the checkpoint folder") from error
            self.optimizers[name].restore(f"optimizer.{name}", tensors)
        if self.average is not None:
            self.average.restore("average", tensors)
