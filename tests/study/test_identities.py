"""The identities of all trainings, pinned: who moves or tidies code sees here whether any training became another one.

A phase's folder name ends with the hash of everything that can change its weights. Finished checkpoints are found
again by it alone.
"""

from __future__ import annotations

import hashlib

import pytest

from longtail.study.study import load_study

# paper, protocol -> number of runs, SHA-256 of their sorted names with a line break between
PINNED = {
    ("conmix", "official"): (128, "db1b1aea745835d9a0695054eaccf6081a56f1ef3168cde3b405ee4f2f89e60d"),
    ("conmix", "paper"): (128, "658f5c18188973c51b0aa8ace0f8198d7edc61d3c00d2c10cec3abc85556e1a0"),
    ("miniclustering", "official"): (174, "8ab18ae4f14ba89b38f9ba4f5f9ea206f1a7c1b61dd3c39584c3b2644921b483"),
    ("miniclustering", "paper"): (174, "94fba08d1eedfb70d6b2c89959798deaf9dd80657f8dded76721780d56f7ef7b"),
    ("theory", "official"): (16, "ebaa96c9968a9272cdf795913afa5b909cf7648484118f7cabeb3a9393e57292"),
    ("theory", "paper"): (16, "ebaa96c9968a9272cdf795913afa5b909cf7648484118f7cabeb3a9393e57292"),
    ("digits", "official"): (18, "6d8b4549b26ade424e8225d749ea0faf9c525a6fcccc85ed9a2ca6f042c32500"),
    ("digits", "paper"): (18, "078d116562d7e79bf18d94a30bd6efdac568503c3c9b3543a0c671cbe0779008"),
}


@pytest.mark.parametrize(("paper", "protocol"), PINNED)
def test_no_training_became_another_one(paper: str, protocol: str) -> None:
    study = load_study({"targets": [paper], "protocol": protocol})
    measurements = [m for _, _, name in study.artefacts(paper) for m in study.measurements(paper, name)]
    names = sorted({f"{measurement.run.cut}/{measurement.run.name}" for measurement in measurements})
    found = (len(names), hashlib.sha256("\n".join(names).encode()).hexdigest())
    assert found == PINNED[paper, protocol], (
        f"The runs of {paper} under the {protocol} protocol have other names than before: whoever has trained them "
        "trains them again. If no result is meant to change, undo what changed the specification of a phase. If one "
        f"is, or tables ask for more or for less, put {found} in place of {PINNED[paper, protocol]} in PINNED of "
        "tests/study/test_identities.py, and say in the commit what is trained anew."
    )
