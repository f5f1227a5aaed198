from __future__ import annotations

import pytest

from longtail.errors import LongtailError
from longtail.study import documents


def test_a_repeated_key_is_an_error(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("a: 1\nb: 2\na: 3\n")
    with pytest.raises(LongtailError, match=r"twice.yaml.*'a' stands twice"):
        documents.read_yaml(path)


def test_merge_keys_and_anchors_work(tmp_path):
    path = tmp_path / "anchors.yaml"
    path.write_text("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\n")
    assert documents.read_yaml(path)["more"] == {"x": 1, "y": 3}


def test_yaml_cannot_run_code(tmp_path):
    victim = tmp_path / "executed"
    path = tmp_path / "evil.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{victim}']\n")
    with pytest.raises(LongtailError, match="not valid YAML"):
        documents.read_yaml(path)
    assert not victim.exists()


@pytest.mark.parametrize("text", ["a: [1, 2", "a: b: c", "\x00", "? [a]\n: 1", "a: &x [*x"])
def test_broken_yaml_names_the_file(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(LongtailError, match=r"broken\.yaml"):
        documents.read_yaml(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LongtailError, match=r"nothing\.yaml"):
        documents.read_yaml(tmp_path / "nothing.yaml")
