"""Published weights of a network become a file that trainings start from, or one message says why not."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from longtail.__main__ import main
from longtail.data import downloads
from longtail.data.image_weights import digest_in_name, fetch
from longtail.errors import LongtailError

WEIGHTS = {"conv1.weight": torch.arange(4.0), "fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)}


def published(folder: Path, content: object = WEIGHTS) -> tuple[str, Path]:
    """An address whose name has the digest of the file, and the file under another name."""
    file = folder / "mine.pth"
    torch.save(content, file)
    return address(file), file


def address(file: Path) -> str:
    return f"https://site.example/models/net-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"


def test_a_file_is_brought_into_one_form_without_its_classifier(tmp_path):
    url, file = published(tmp_path)
    out = tmp_path / "net-v1" / "model.safetensors"
    assert main(["job", "weights", "--url", url, "--file", str(file), "--out", str(out)]) == 0
    with safe_open(out, "pt") as opened:
        assert list(opened.keys()) == ["conv1.weight"]
        assert torch.equal(opened.get_tensor("conv1.weight"), WEIGHTS["conv1.weight"])
        assert opened.metadata() == {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "from": url.rpartition("/")[2],
        }
    assert [path.name for path in out.parent.iterdir()] == ["model.safetensors"]


def test_a_file_that_is_cut_off_or_another_is_refused(tmp_path):
    url, file = published(tmp_path)
    whole = file.read_bytes()
    for content in (whole[:-10], b"", whole + b"\0"):
        file.write_bytes(content)
        with pytest.raises(
            LongtailError, match=r"mine\.pth is not what https.*SHA-256 begins with .*is incomplete, or"
        ):
            fetch(url, str(file), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


@pytest.mark.parametrize("content", [[1, 2], {"conv1.weight": "text"}, {"conv1.weight": Harmful()}])
def test_what_holds_no_tensors_is_refused_and_nothing_in_it_is_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    url, file = published(tmp_path, content)
    with pytest.raises(LongtailError, match="holds no weights"):
        fetch(url, str(file), tmp_path / "out.safetensors")
    assert not (tmp_path / "harmed").exists()
    file.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(LongtailError, match="holds no weights"):
        fetch(address(file), str(file), tmp_path / "out.safetensors")


def test_files_that_are_not_there_and_addresses_name_the_configuration(tmp_path):
    url, _ = published(tmp_path)
    with pytest.raises(LongtailError, match=r"none\.pth does not exist\. Correct `image_weights`"):
        fetch(url, str(tmp_path / "none.pth"), tmp_path / "out")
    with pytest.raises(LongtailError, match=r"A file of `image_weights` s3://bucket/net\.pth is an address"):
        fetch(url, "s3://bucket/net.pth", tmp_path / "out")
    with pytest.raises(LongtailError, match="has no digest in its name"):
        digest_in_name("https://site.example/resnet152.pth")
    assert digest_in_name("https://download.pytorch.org/models/resnet152-394f9c45.pth") == "394f9c45"


def test_without_a_file_torch_s_cache_is_read_and_then_the_site(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    url, file = published(tmp_path)
    place = downloads.cached_weights(url)
    assert place == tmp_path / "cache" / "hub" / "checkpoints" / url.rpartition("/")[2]
    assert place.parent == Path(torch.hub.get_dir()) / "checkpoints"
    assert downloads.site_of_weights(url) == "https://site.example"

    def nobody(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", nobody)
    way_out = r"Cannot download .*: no route\. .*`image_weights: \{net: /path/of/net-[0-9a-f]{8}\.pth\}`"
    with pytest.raises(LongtailError, match=way_out):
        fetch(url, None, tmp_path / "out")
    place.parent.mkdir(parents=True, exist_ok=True)
    file.rename(place)
    assert downloads.site_of_weights(url) is None
    fetch(url, None, tmp_path / "out")
    assert (tmp_path / "out").exists()
