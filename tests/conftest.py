"""Settings of all tests; a browser; an encoder, a WordNet and a driver of GPUs small enough to be made for them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The same examples in every run, and no deadline: how long an example takes says more about the machine than the code.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")

# Runs of the workflow write the page of all results where a test is about it: it takes seconds, whatever else is run.
os.environ["LONGTAIL_PAGE"] = "off"

# A shell without job control starts what it puts in the background with Ctrl-C ignored, which is inherited.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LIBCUDA = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int count(void) {
    const char *shown = getenv("CUDA_VISIBLE_DEVICES");
    return shown ? (int)strlen(shown) : 3;
}
int cuInit(unsigned flags) { return getenv("BROKEN") ? 999 : count() ? 0 : 100; }
int cuGetErrorString(int status, const char **text) { *text = status == 999 ? "unknown error" : "?"; return 0; }
int cuDeviceGetCount(int *n) { *n = count(); return 0; }
int cuDeviceGet(int *device, int number) {
    const char *shown = getenv("CUDA_VISIBLE_DEVICES"), *order = getenv("CUDA_DEVICE_ORDER");
    *device = shown ? shown[number] - '0' : order && !strcmp(order, "PCI_BUS_ID") ? number : 2 - number;
    return 0;
}
int cuDeviceGetName(char *name, int length, int device) { return snprintf(name, length, "Fake %d", device) < 0; }
int cuDeviceGetUuid_v2(char *uuid, int device) { memset(uuid, 16 * 10 + device, 16); return 0; }
"""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("big", "large", "dog", "hound", "cat", "run", "runs", "the", "small", "##s", "##er", "?", "-", "a", "little")
SYNSETS = {"n": [["dog", "hound", "domestic_dog"]], "a": [["big", "large", "Big"], ["small", "little"]]}


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One that the machine has; none is ever downloaded. While it is open no test may run an event loop of its own."""
    found = filter(None, map(shutil.which, BROWSERS))
    works = (each for each in found if not subprocess.run([each, "--version"], capture_output=True).returncode)
    program = next(works, None)
    if program is None:
        pytest.skip(f"no browser is installed ({', '.join(BROWSERS)}); .ci/install-chromium installs one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a DistilBERT of random weights with a handful of words, as the hub has one (``vocab.txt``)."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = (*SPECIAL, *WORDS)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}), encoding="utf-8"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        size = {"dim": 16, "hidden_dim": 32, "n_heads": 2, "n_layers": 1, "max_position_embeddings": 16}
        DistilBertModel(DistilBertConfig(vocab_size=len(vocabulary), **size)).save_pretrained(folder)
    return folder


def write_wordnet(folder: Path, synsets: Mapping[str, Sequence[Sequence[str]]]) -> Path:
    """WordNet's dictionaries in the format of wndb(5), with what Debian's package has: no lexnames, no index.sense.

    Args:
        folder: to write.
        synsets: by part of speech (n, v, a, r), the lemmas of each synset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for letter, name in (("n", "noun"), ("v", "verb"), ("a", "adj"), ("r", "adv")):
        data = "  1 This line is a licence, which begins with two blanks\n"
        offsets: dict[str, list[int]] = {}
        for lemmas in synsets.get(letter, ()):
            for lemma in lemmas:
                offsets.setdefault(lemma.lower(), []).append(len(data))
            listed = " ".join(f"{lemma} 0" for lemma in lemmas)
            data += f"{len(data):08} 00 {letter} {len(lemmas):02x} {listed} 000 | what it means  \n"
        index = "  1 This line is a licence\n" + "".join(
            f"{lemma} {letter} {len(places)} 0 {len(places)} 0 {' '.join(f'{place:08}' for place in places)}  \n"
            for lemma, places in sorted(offsets.items())
        )
        (folder / f"data.{name}").write_text(data, encoding="utf-8")
        (folder / f"index.{name}").write_text(index, encoding="utf-8")
        (folder / f"{name}.exc").write_text("", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_wordnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of dictionaries with three synsets."""
    return write_wordnet(tmp_path_factory.mktemp("wordnet"), SYNSETS)


@pytest.fixture(scope="session")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A driver of three GPUs, listed backwards unless by the bus; CUDA_VISIBLE_DEVICES is one digit per GPU."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build a stand-in for NVIDIA's driver with")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda.c").write_text(LIBCUDA)
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "cuda.c"], check=True)
    return library
