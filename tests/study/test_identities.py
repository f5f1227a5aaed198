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
    ("conmix", "official"): (128, "b06dca47889eaa74bdab442d20a667e324ba762677b1e85456e23e7578f6e1a3"),
    ("conmix", "paper"): (128, "442500305c64c3bf9c380aa8b23ee39ce1beb11ff3f8605350dd348dbbff9155"),
    ("miniclustering", "official"): (174, "a5274b9ce7d69c564dce4c6c7e8925c384f21c88da46140d179933a86563fa89"),
    ("miniclustering", "paper"): (174, "8e63ddbe9fcbe85d00303dfaa1d8aa61530d13f0da34469d4a2a0a4c83dbace3"),
    ("theory", "official"): (16, "b0a9faab6bb6f3303a6cbea3be0f52c577f34c480fe2a23ce5cd49a9281c2790"),
    ("theory", "paper"): (16, "b0a9faab6bb6f3303a6cbea3be0f52c577f34c480fe2a23ce5cd49a9281c2790"),
    ("digits", "official"): (21, "eccc4fb29196446bfa284e04a50e485672250aa5fefa7a5887217c92ce38ee82"),
    ("digits", "paper"): (21, "d14c652c5a538898c0b09ca0461d07409cb50f3b70df21e18ac3d4bbad86aeac"),
    ("iccl", "official"): (124, "cda36c13de0f48bbfe99a25a2e77f3cfc396e7d4de93f1031a320ff31a689ded"),
    ("iccl", "paper"): (124, "a40d43819199c2ab6fae94059f97077692b88d8dd8a8856a0ee16d969b7c99f9"),
    ("rescom", "official"): (62, "9595d532aa153b4d29d283d6d10283ae06fa8f2a8e71e14d43e92f4b02ee6837"),
    ("rescom", "paper"): (62, "ab674374ec49313e4bd69254fda95a26733c84e9d58b4867c58b690135fe4c07"),
    ("gloco", "official"): (121, "7c5f65a86711427c56f95531618b8d1ada28b537de82207139bdda69e0331d5b"),
    ("gloco", "paper"): (121, "49b6e8e87448970969e4e36d076b446da5af33b625f38f99ecee9dad6e00b68c"),
}


LARGE = ("imagenet_lt-", "places_lt-", "inaturalist18-")
ON_LARGE = {
    ("iccl", "official"): (63, "eaec902f34c1780c9f12224d02f1e137508cdea335fb789a715a68ef02c74021"),
    ("iccl", "paper"): (63, "5e11c86711b7d41d5228bda8ce6b7c02d0bd4566ec887022f3072b392a417e81"),
    ("rescom", "official"): (69, "9d8e270492ec8692e3464639e4ea42f9706bf7ef143a11eabe68df0c2d40d742"),
    ("rescom", "paper"): (69, "3b901c43d3e08936a67a7ea3c2abb7ba69c8d8c2d2e2695a324c30a5927cd26a"),
    ("gloco", "official"): (7, "13d1d41d4a6bdc633eaa5610bebd22b6d2ebe93b415221d45b87f0229cb71bde"),
    ("gloco", "paper"): (7, "80fa74ac452bfc42d569a3820d8895c9c1082f766c35a60f0952f22040394f92"),
}
"""The same of papers on recognition on the large sets, which are left out above."""


@pytest.mark.parametrize(
    ("paper", "protocol", "large"), [*((*key, False) for key in PINNED), *((*key, True) for key in ON_LARGE)]
)
def test_no_training_became_another_one(paper: str, protocol: str, large: bool) -> None:
    study = load_study({"targets": [paper], "protocol": protocol})
    measurements = [m for _, _, name in study.artefacts(paper) for m in study.measurements(paper, name)]
    names = sorted({f"{measurement.run.cut}/{measurement.run.name}" for measurement in measurements})
    if paper in ("iccl", "rescom", "gloco"):
        names = [name for name in names if name.startswith(LARGE) == large]
    found = (len(names), hashlib.sha256("\n".join(names).encode()).hexdigest())
    pinned = (ON_LARGE if large else PINNED)[paper, protocol]
    assert found == pinned, (
        f"The runs of {paper} under the {protocol} protocol have other names than before: whoever has trained them "
        "trains them again. If no result is meant to change, undo what changed the specification of a phase. If one "
        f"is, or tables ask for more or for less, put {found} in place of {pinned} in "
        f"{'ON_LARGE' if large else 'PINNED'} of tests/study/test_identities.py, and say in the commit what is trained "
        "anew."
    )
