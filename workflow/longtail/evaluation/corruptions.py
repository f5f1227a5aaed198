"""Errors on corrupted test images, summed up in the ways of Hendrycks and Dietterich (ICLR 2019) and of ResCom.

With e_(c,s) the share of wrong predictions on corruption c at severity s, and E_c AlexNet's, mean over the severities:

* the mean error is mean_(c,s) e_(c,s), which ImageNet-C/test.py of hendrycks/robustness prints as "unnormalized mCE";
* the normalised error is mean_c [mean_s e_(c,s) / E_c], the paper's mCE (compute_mce of google-research/augmix).

ResCom's Table 3 prints 71.4, 71.1 and 69.4 as mCE, and 91.4, 91.2 and 89.2 as NmCE. Their quotients, 0.78, are about
the mean of AlexNet's errors (0.789), so its mCE is the former and its NmCE the latter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from longtail.errors import LongtailError

Errors = Mapping[tuple[str, int], float]
"""Share of wrong predictions, in [0, 1], by corruption and severity."""


def mean_error(errors: Errors, corruptions: Iterable[str]) -> float:
    """Mean over corruptions and severities, in [0, 1].

    Raises:
        LongtailError: if one of the ``corruptions`` is missing, at a severity that others have, or unknown.
    """
    by_corruption = _table(errors, corruptions)
    return _mean(_mean(of_one.values()) for of_one in by_corruption.values())


def normalized_error(errors: Errors, alexnet_errors: Mapping[str, float]) -> float:
    """Mean over the corruptions of the error over AlexNet's; 1 is as bad as AlexNet. Raises as :func:`mean_error`."""
    by_corruption = _table(errors, alexnet_errors)
    return _mean(_mean(of_one.values()) / alexnet_errors[name] for name, of_one in by_corruption.items())


def accuracy_by_severity(errors: Errors, corruptions: Iterable[str]) -> dict[int, float]:
    """Mean share of right predictions over the corruptions at each severity. Raises as :func:`mean_error`."""
    by_corruption = _table(errors, corruptions)
    severities = next(iter(by_corruption.values()))
    return {step: 1 - _mean(of_one[step] for of_one in by_corruption.values()) for step in severities}


def _table(errors: Errors, corruptions: Iterable[str]) -> dict[str, dict[int, float]]:
    """Errors by corruption, then by severity, all of which each has."""
    severities = sorted({severity for _, severity in errors})
    names = list(corruptions)
    strange = sorted({name for name, _ in errors} - {*names})
    lacking = [f"{name} {step}" for name in names for step in severities or [1] if (name, step) not in errors]
    if strange or lacking:
        what = f"unknown: {', '.join(strange)}" if strange else f"missing: {', '.join(lacking)}"
        raise LongtailError(
            f"The errors are not those of the corruptions that readouts.yaml has AlexNet's of, each at every severity "
            f"({what}). Test on all of them, and on no other."
        )
    return {name: {step: errors[name, step] for step in severities} for name in names}


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
