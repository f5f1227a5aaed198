"""Sentence encoders (Reimers and Gurevych, EMNLP 2019): a pre-trained transformer, its outputs averaged over a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from longtail.errors import LongtailError


class SentenceEncoder(nn.Module):
    """Tokens to the mean of the transformer's outputs, as sentence-transformers pools the models that the paper takes.

    Its dropout is on in train mode, and draws from torch's own generator.

    Attributes:
        width: d of the embedding.

    Args:
        folder: with the encoder's configuration and weights.

    Raises:
        LongtailError: if they cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            self.network: Any = AutoModel.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise LongtailError(
                f"{folder} holds no readable sentence encoder ({str(error).splitlines()[0]}). Delete it and run the "
                f"workflow again."
            ) from error
        self.width: int = self.network.config.hidden_size
        self.padding: int = self.network.config.pad_token_id or 0

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) int64, filled up with the padding token, to (B, d) float32."""
        there = tokens != self.padding
        outputs = self.network(input_ids=tokens, attention_mask=there.long()).last_hidden_state.float()
        weights = there[:, :, None].float()
        return (outputs * weights).sum(1) / weights.sum(1)
