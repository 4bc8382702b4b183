"""The two stages of tokenizer training (Sec. 3.2, Appendix B.2), over one model and one set of motions.

Each stage trains and checkpoints its own parts only, so the hands of stage 2 do not depend on each other's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion
from unihm.tokenizer.figures import motion_errors, summary
from unihm.tokenizer.hand_alignment import distillation_loss, total_loss
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.tokenizer.vqvae import SharedVQVAE
from unihm.training.distributed import add_up
from unihm.training.loop import Batches, Figures, fit
from unihm.training.presets import TokenizerTraining
from unihm.training.tokenizer_data import Batch, PairedMotions
from unihm.training.tokenizer_losses import reconstruction_loss

_LAST_REFRESH = 0.8  # share of stage 1 after which the codebook may only settle
_VALIDATIONS = 5  # times a stage is measured on held-out motions


class TokenizerStages:
    """Trains the parts of a model, one stage after the other."""

    def __init__(
        self,
        model: SharedVQVAE,
        motions: PairedMotions,
        hands: Mapping[str, HandModel],
        config: TokenizerTraining,
        validation: Mapping[str, Mapping[str, HandMotion]] | None = None,
    ):
        """Join model and data.

        Args:
            model: Changed in place.
            motions: Training motions of the model's hands.
            hands: Kinematics by name.
            config: How to train.
            validation: Held-out motions by hand and episode, on which figures are logged.
        """
        self.model, self.motions, self.hands, self.config = model, motions, hands, config
        self.validation = validation or {}
        self.reference_hand = config.tokenizer.reference_hand

    def train_reference(self, folder: Path, *, resume: bool = False, stop_after: int | None = None) -> None:
        """Stage 1: reference encoder, decoder and codebook (Eq. B12), with the refresh of cold codes (Eq. B11).

        The first epochs train without quantisation; the codebook then starts as k-means of the latents.
        """
        model, config, hand = self.model, self.config, self.reference_hand
        parts = nn.ModuleDict(
            {"quantiser": model.quantiser, "encoder": model.encoders[hand], "decoder": model.decoders[hand]}
        )
        model.train_only(parts)

        def loss(_: nn.ModuleDict, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Figures]:
            x = batch.features[hand]
            z = model.encode(hand, x, batch.mask)
            quantisation = x.new_zeros(())
            if batch.quantised:
                quantised = model.quantiser.quantize(z, batch.mask, self._depth(z, rng))
                z, quantisation = quantised.z_q, quantised.loss
            rebuilt = model.decode(hand, z, batch.mask)
            reconstruction, keypoint_mm = self._reconstruction(rebuilt, x, batch, hand, rng)
            return reconstruction + quantisation, {
                "keypoint_mm": keypoint_mm,
                "quantisation": quantisation.item(),
            }

        def epoch_end(_: nn.ModuleDict, epoch: int, rng: torch.Generator) -> Figures:
            figures: dict[str, float] = {}
            started = epoch >= config.warmup_epochs
            if epoch == config.warmup_epochs:
                model.quantiser.initialise(self.latents(), rng)
            elif started:
                add_up(model.quantiser.usage)
                figures["cold_codes"] = float((model.quantiser.usage < config.cold_threshold).sum())
                if epoch % config.refresh_epochs == 0 and epoch <= _LAST_REFRESH * config.reference.epochs:
                    model.quantiser.refresh_cold_codes(self.latents(), rng, config.cold_threshold)
            model.quantiser.start_epoch()
            return figures | (self._validate(hand, epoch, config.reference.epochs) if started else {})

        fit(
            parts, loss, self._batches((hand,), config.warmup_epochs), config.reference, folder,
            steps_per_epoch=self._steps, resume=resume, on_epoch_end=epoch_end, title=hand, stop_after=stop_after,
        )  # fmt: skip

    def add_hand(self, hand: str, folder: Path, *, resume: bool = False) -> None:
        """Stage 2: a further hand learns the codes that exist; codebook and other hands stay as they are.

        Its encoder first only follows the reference encoder (Eqs. 3, B13), then both are tuned by Eq. B14.

        Differs from the paper: the decoder also learns from the reference hand's codes for the same motion, from
        the first epoch on, because another hand's codes are what it will be given (Eq. 6).
        """
        model, config, reference = self.model, self.config, self.reference_hand
        parts = nn.ModuleDict({"encoder": model.encoders[hand], "decoder": model.decoders[hand]})
        model.train_only(parts)

        def loss(_: nn.ModuleDict, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Figures]:
            x = batch.features[hand]
            with torch.no_grad():
                z_reference = model.encode(reference, batch.features[reference], batch.mask)
                depth = self._depth(z_reference, rng)
                z_paired = model.quantiser.quantize(z_reference, batch.mask, depth).z_q
            z = model.encode(hand, x, batch.mask)
            distillation = distillation_loss(z, z_reference, batch.mask)
            rebuilt = model.decode(hand, z_paired, batch.mask)
            translation, from_reference_mm = self._reconstruction(rebuilt, x, batch, hand, rng)
            figures = {"distillation": distillation.item(), "from_reference_mm": from_reference_mm}
            if not batch.quantised:
                return translation + distillation, figures
            own = model.quantiser.quantize(z, batch.mask, depth)
            rebuilt = model.decode(hand, own.z_q, batch.mask)
            reconstruction, figures["keypoint_mm"] = self._reconstruction(rebuilt, x, batch, hand, rng)
            both = 0.5 * (reconstruction + translation)
            return total_loss(both, own.loss, distillation, config.distillation_weight), figures

        def epoch_end(_: nn.ModuleDict, epoch: int, rng: torch.Generator) -> Figures:
            return self._validate(hand, epoch, config.alignment.epochs)

        fit(
            parts, loss, self._batches((hand, reference), config.distillation_epochs), config.alignment, folder,
            steps_per_epoch=self._steps, resume=resume, on_epoch_end=epoch_end, title=hand,
        )  # fmt: skip

    @torch.no_grad()
    def latents(self) -> Float[Tensor, "n D"]:
        """The reference encoder's outputs over the training motions as they are."""
        hand, chunk = self.reference_hand, self.model.config.frames_per_chunk
        batches = self.motions.batches(
            (hand,), self.config.batch_size, chunk, torch.Generator(), augmentation=None, shuffle=False
        )
        return torch.cat([self.model.encode(hand, b.features[hand], b.mask)[b.mask] for b in batches])

    @property
    def _steps(self) -> int:
        return -(-len(self.motions) // self.config.batch_size)

    def _batches(self, hands: tuple[str, ...], unquantised_epochs: int) -> Batches:
        config = self.config

        def batches(epoch: int, rng: torch.Generator):
            return self.motions.batches(
                hands,
                config.batch_size,
                self.model.config.frames_per_chunk,
                rng,
                augmentation=config.augmentation,
                quantised=epoch >= unquantised_epochs,
            )

        return batches

    def _depth(self, z: Float[Tensor, "B N D"], rng: torch.Generator) -> Int[Tensor, "B N"]:
        """How many levels each motion is decoded from: mostly all, for some motions a random number."""
        levels = self.model.quantiser.levels
        random = torch.rand(len(z), generator=rng) < self.config.random_depth
        depth = torch.where(random, torch.randint(1, levels + 1, (len(z),), generator=rng), levels)
        return depth[:, None].expand(z.shape[:2]).to(z.device)

    def _reconstruction(
        self, rebuilt: Tensor, x: Tensor, batch: Batch, hand: str, rng: torch.Generator
    ) -> tuple[Tensor, float]:
        return reconstruction_loss(
            rebuilt, x, batch.num_frames, self.model.hands[hand], self.hands[hand], self.config, rng
        )

    def _validate(self, hand: str, epoch: int, epochs: int) -> dict[str, float]:
        """Figures on held-out motions, a few times in a stage."""
        motions = self.validation.get(hand)
        if not motions or epoch % max(1, epochs // _VALIDATIONS) != 0:
            return {}
        tokenizer = Tokenizer(self.model)
        errors = [
            motion_errors(tokenizer.decode(tokenizer.encode(motion), hand), motion, self.hands[hand])
            for motion in motions.values()
        ]
        return {f"validation_{k}": v for k, v in summary(errors).items() if v is not None}
