"""What a student learns from a teacher (Hinton et al., 2015)."""

from __future__ import annotations

from torch import Tensor

from longtail.methods.losses.numerics import full_precision, kullback_leibler


@full_precision
def distillation(logits: Tensor, teacher: Tensor, temperature: float, power: float = 1.0) -> Tensor:
    """T^2 KL(q || softmax(s / T)) with q in proportion to softmax(t / T)^p, averaged over images.

    T^2 keeps the size of gradients where T changes. The teacher gets none.

    Args:
        logits: s, (B, K).
        teacher: t, its logits, (B, K).
        temperature: T.
        power: p; below 1 it flattens the teacher's distribution and not the student's (He et al., DiVE, ICCV 2021).

    Returns:
        A scalar.
    """
    own = (logits / temperature).log_softmax(1)
    target = (power * teacher.detach() / temperature).log_softmax(1)
    return temperature**2 * kullback_leibler(target, own).mean()
