"""Classifiers: what turns the pooled feature h of an image, (B, d), into one logit per class, (B, K).

Each whose logits are linear, or cosines, has ``weight``, (K, d), and ``bias``, (K,) or None, for readouts such as
tau-normalisation. All compute in full precision, whatever the backbone does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from longtail.errors import unknown
from longtail.models.headed import Head

INITS = ("default", "kaiming", "normal")


class Linear(Head):
    """s = W h + b.

    Args:
        width: d.
        classes: K.
        init: how W starts. ``kaiming`` is normal with variance 2 / d (kaidic/LDAM-DRW, dvlab-research/MiSLAS),
            ``default`` uniform in +-1 / sqrt(d) (Megvii-Nanjing/BBN, dvlab-research/ResCom,
            facebookresearch/classifier-balancing). b starts uniform in +-1 / sqrt(d) in either. ``normal`` is N(0,
            0.01^2), with b at 0 (LTH14/targeted-supcon, main_lincls_imba.py).

    Raises:
        LongtailError: for an ``init`` that does not exist.
    """

    def __init__(self, width: int, classes: int, init: str = "default") -> None:
        if init not in INITS:
            raise unknown("init of a linear classifier", init, INITS)
        super().__init__(width, classes)
        if init == "kaiming":
            nn.init.kaiming_normal_(self.weight)
        if init == "normal":
            nn.init.normal_(self.weight, std=0.01)
            nn.init.zeros_(self.bias)


class Cosine(nn.Module):
    """s_k = scale * cos(h, w_k), without bias: the ``NormedLinear`` of kaidic/LDAM-DRW.

    W starts uniform in +-1, each class then brought to length 1. A feature of length 0 gives logits 0.

    Args:
        width: d.
        classes: K.
        scale: 30 in frank-xwang/RIDE-LongTailRecognition, 1 where the loss multiplies, as in LDAM.
    """

    bias = None

    def __init__(self, width: int, classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(functional.normalize(torch.empty(classes, width).uniform_(-1, 1), dim=1))

    def forward(self, h: Tensor) -> Tensor:
        """(B, d) to (B, K)."""
        with torch.autocast(h.device.type, enabled=False):
            h = functional.normalize(h.to(self.weight.dtype), dim=1)
            return self.scale * functional.linear(h, functional.normalize(self.weight, dim=1))


class Scaled(nn.Module):
    """s_k = f_k (W h + b)_k, with f_k from 1: learnable weight scaling (Kang et al., ICLR 2020, Section 4.2).

    The scale multiplies the bias too, as in facebookresearch/classifier-balancing.

    Args:
        classifier: gives W and b. Whoever trains f alone, as LWS does, passes it without gradient
            (``requires_grad_(False)``); MiSLAS trains both.
    """

    def __init__(self, classifier: Linear) -> None:
        super().__init__()
        self.classifier = classifier
        self.scales = nn.Parameter(torch.ones_like(classifier.bias))

    @property
    def weight(self) -> Tensor:
        """f_k W_k, (K, d)."""
        return self.scales[:, None] * self.classifier.weight

    @property
    def bias(self) -> Tensor:
        """f_k b_k, (K,)."""
        return self.scales * self.classifier.bias

    def forward(self, h: Tensor) -> Tensor:
        """(B, d) to (B, K)."""
        return self.scales * self.classifier(h)


class Aligned(nn.Module):
    """z_k = (1 + sigma a_k) s_k + sigma b_k with sigma = sigmoid(v h + c) (Zhang et al., DisAlign, CVPR 2021).

    As in Megvii-BaseDetection/cvpods, where v starts as 0.1 and c uniform in +-1 / sqrt(d), s is with its bias, and b
    starts as 0. The logits are not linear in h, so there is no ``weight``.

    Args:
        classifier: gives s, without gradient if it is passed so.
        scale_init: where a starts; at 0 z is s.
    """

    def __init__(self, classifier: Linear, scale_init: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.scales = nn.Parameter(torch.full_like(classifier.bias, scale_init))
        self.shifts = nn.Parameter(torch.zeros_like(classifier.bias))
        self.confidence = Head(classifier.in_features, 1)
        nn.init.constant_(self.confidence.weight, 0.1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, d) to (B, K)."""
        with torch.autocast(h.device.type, enabled=False):
            return aligned(self.classifier(h), self.confidence(h).sigmoid(), self.scales, self.shifts)


def aligned(logits: Tensor, confidence: Tensor, scales: Tensor, shifts: Tensor) -> Tensor:
    """(1 + sigma a) s + sigma b of logits s, (B, K), and confidences sigma, (B, 1)."""
    return (1 + confidence * scales) * logits + confidence * shifts
