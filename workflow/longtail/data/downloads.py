"""Sites that something has to be downloaded from, and whether they answer. Standard library only."""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

PATIENCE = 4.0
"""Seconds to wait for a site."""


def site_of_encoder(name: str) -> str | None:
    """The hub that a sentence encoder comes from; None if transformers' cache has it."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    cache = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or home) / "hub"
    if any(Path(cache, f"models--{name.replace('/', '--')}").glob("snapshots/*/config.json")):
        return None
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def cached_weights(url: str) -> Path:
    """Where torch keeps the file of an address, whether or not it is there."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch"
    return Path(os.environ.get("TORCH_HOME") or home) / "hub" / "checkpoints" / url.rpartition("/")[2]


def site_of_weights(url: str) -> str | None:
    """The site that pre-trained weights come from; None if torch's cache has them."""
    return None if cached_weights(url).is_file() else url[: url.index("/", len("https://"))]


def unreachable(sites: Iterable[str], patience: float = PATIENCE) -> dict[str, str]:
    """The sites that do not answer, with the reason. All are asked at once, by way of a proxy where one is set."""
    found = dict.fromkeys(sites, f"no answer within {patience:z.0f} seconds")

    def ask(site: str) -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(site, method="HEAD"), timeout=patience).close()
        except urllib.error.HTTPError:  # an answer all the same
            pass
        except (OSError, ValueError) as error:
            found[site] = str(getattr(error, "reason", error))
            return
        found.pop(site, None)

    asking = [threading.Thread(target=ask, args=(site,), daemon=True) for site in dict.fromkeys(found)]
    for thread in asking:
        thread.start()
    end = time.monotonic() + patience  # for all of them together
    for thread in asking:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(found)
