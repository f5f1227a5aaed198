"""A split through a network in eval mode: the whole of it as it is embedded, or augmented versions of some rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from longtail.data.augment import Normalization, unaugmented
from longtail.data.pictures import Pictures
from longtail.data.resident import ResidentSplit
from longtail.data.resident_texts import ResidentTexts
from longtail.data.streamed import StreamedSplit
from longtail.data.strong_augment import new_augmentation
from longtail.devices.allocator import keep_freed_memory
from longtail.devices.distributed import ALONE, Group
from longtail.devices.precision import autocast
from longtail.training.specification import Data

Split = ResidentSplit | StreamedSplit | ResidentTexts
"""Where the rows of a split are."""

Augment = Callable[[Any, torch.Generator], Tensor]
"""From a batch as the split has it, and random numbers, to one view of it that is not yet normalised."""


class SplitInputs:
    """The rows of a split for the networks of one phase (a ``longtail.methods.base.Images``).

    Args:
        split: the images or texts, on the device of the networks.
        dtype: what autocast computes in; float32 switches it off.

    Attributes:
        augmentations: what makes each view of a step, as far as there is a training.
    """

    split: Split

    def __init__(self, split: Split, dtype: torch.dtype) -> None:
        self.split = split
        self.augmentations: Sequence[Augment] = ()
        self.device = split.device
        self.rows = len(split)
        self.dtype = dtype

    def augmentation(self, listed: Mapping[str, Any]) -> Augment:
        """The augmentation that an entry of the catalogue describes."""
        raise NotImplementedError

    def normalize(self, views: Tensor) -> Tensor:
        """What a network is given of augmented views."""
        raise NotImplementedError

    def plain(self, batch: Any) -> Tensor:
        """What a network is given of a batch as the split has it, when it is embedded."""
        raise NotImplementedError

    def encode(self, encoder: nn.Module, order: Tensor | None = None) -> Tensor:
        """Outputs of ``encoder`` in eval mode for every row of the split in order, (N, d) float32, no gradient.

        ``order``, a permutation of the rows, (N,) int64, is that in which they pass through the encoder.
        """
        if order is None:
            return self.encode_all(encoder)[0]
        order = order.to(self.device)
        outputs = self.encode_all(encoder, order)[0]
        return torch.empty_like(outputs).index_copy_(0, order, outputs)

    def encode_views(self, encoder: nn.Module, rows: Tensor, views: int) -> tuple[Tensor, ...]:
        """Outputs of ``encoder`` in eval mode for each of the first ``views`` augmented views of ``rows``, (R, d).

        What is drawn follows from PyTorch's own generator, which the loop seeds before each epoch.
        """
        draws = torch.Generator(self.device).manual_seed(int(torch.randint(2**62, ())))

        def seen(augment: Augment) -> Callable[[Any], Tensor]:
            return lambda batch: self.normalize(augment(batch, draws))

        return tuple(self.encode_all(encoder, rows, seen(augment))[0] for augment in self.augmentations[:views])

    @torch.no_grad()
    def encode_all(
        self, encoder: nn.Module, rows: Tensor | None = None, seen: Callable[[Any], Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """Like :meth:`encode`, with the logits as a second tensor where the encoder gives a pair.

        Of ``rows`` only and in their order, where they are given; ``seen`` says what the network is given of a batch,
        when None the images under the dataset's test transform.
        """
        outputs = []
        every = torch.arange(self.rows) if rows is None else rows
        with evaluating(encoder):
            parts = every.to(self.split.planned_on).split(self.split.at_once)
            for _, (batch,) in self.split.ahead(parts, lambda part: (part,)):
                views = (seen or self.plain)(batch)
                with autocast(self.dtype, self.device):
                    output = encoder(views)
                outputs.append(output if isinstance(output, tuple) else (output,))
        return tuple(torch.cat(part).float() for part in zip(*outputs, strict=True))


class SplitImages(SplitInputs):
    """The images of a split.

    Args:
        split: the images, on the device of the networks.
        data: how large the networks see them, and how they are embedded.
        normalization: ``mean`` and ``std`` of the stretch.
        dtype: what autocast computes in; float32 switches it off.
    """

    def __init__(
        self,
        split: ResidentSplit | StreamedSplit,
        data: Data,
        normalization: Mapping[str, Any],
        dtype: torch.dtype,
    ) -> None:
        super().__init__(split, dtype)
        self.size, self.transform = data.image_size, data.test_transform
        self.mean = normalization["mean"]
        self.normalization = Normalization(self.mean, normalization["std"], split.device)

    def augmentation(self, listed: Mapping[str, Any]) -> Augment:
        """Random transforms of images, uint8 (B, C, H, W) or of differing sizes, to float32 (B, C, S, S).

        An empty list leaves the dataset's test transform, by which images are embedded.
        """
        if not listed:
            return lambda images, generator: unaugmented(images, self.transform, self.size)
        return new_augmentation(listed, self.size, self.mean)

    def normalize(self, views: Tensor) -> Tensor:
        """Normalised images, (B, C, H, W) float32, channels last in memory as the networks are."""
        return self.normalization(views).contiguous(memory_format=torch.channels_last)

    def plain(self, batch: Tensor | Pictures) -> Tensor:
        """Images under the dataset's test transform, (B, C, S, S) float32."""
        return self.normalize(unaugmented(batch, self.transform, self.size))


class SplitTexts(SplitInputs):
    """The texts of a split.

    Args:
        split: the texts, on the device of the networks.
        dtype: what autocast computes in; float32 switches it off.
    """

    split: ResidentTexts

    def __init__(self, split: ResidentTexts, dtype: torch.dtype) -> None:
        super().__init__(split, dtype)

    def augmentation(self, listed: Mapping[str, Any]) -> Augment:
        """Synonyms in place of words, (B, W) to (B, W) int32."""
        return self.split.replacement(listed)

    def normalize(self, views: Tensor) -> Tensor:
        """Tokens of the words, (B, L) int64."""
        return self.split.tokens(views)

    def plain(self, batch: Tensor) -> Tensor:
        """Tokens of the texts as they are, (B, L) int64."""
        return self.normalize(batch)


def open_split(
    data: Data,
    path: Path,
    stores: Mapping[str, Path],
    device: torch.device,
    workers: int = 0,
    group: Group = ALONE,
) -> Split:
    """The rows of a split for the device that needs them: held there, or streamed to it where they stay encoded.

    Args:
        data: what they are.
        path: the table of the rows.
        stores: for each part, the file with its images or texts, or the index of its encoded images.
        device: where they are wanted.
        workers: processes that decode images which are streamed.
        group: the processes that train together.
    """
    if data.holds == "texts":
        return ResidentTexts(path, stores, device)
    if all(Path(store).suffix == ".parquet" for store in stores.values()):
        return StreamedSplit(path, stores, device, workers, group, at_start=keep_freed_memory)
    return ResidentSplit(path, stores, device)


def decoders(threads: int | None, device: torch.device) -> int:
    """Processes that decode images beside a process with ``threads``, or as many as torch takes.

    On a GPU all cores but that of the loop have nothing else to do. On the CPU networks take far longer than decoding.
    """
    available = threads or torch.get_num_threads()
    return max(1, available - 1 if device.type == "cuda" else available // 8)


def split_inputs(split: Split, data: Data, normalization: Mapping[str, Any], dtype: torch.dtype) -> SplitInputs:
    """What networks are given of a split; ``normalization`` is that of the stretch, and texts have none."""
    if isinstance(split, ResidentTexts):
        return SplitTexts(split, dtype)
    return SplitImages(split, data, normalization, dtype)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode for ``module``, and afterwards each part of it in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
