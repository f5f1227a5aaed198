from __future__ import annotations

import pytest

from longtail.data import wordnet
from longtail.data.wordnet import Synonyms
from longtail.errors import LongtailError


def test_synonyms_are_the_single_words_of_all_synsets_of_a_word(tiny_wordnet):
    synonyms = Synonyms(str(tiny_wordnet))
    assert synonyms("dog") == ("hound",)  # domestic_dog is a phrase
    assert synonyms("Dogs") == ("dog", "hound")  # found by its base form, which is a word of its own
    assert synonyms("big") == ("large",)  # Big is big
    assert synonyms("little") == ("small",)
    assert synonyms("cat") == ()
    assert synonyms("?") == ()


def test_stop_words_stay(tiny_wordnet, tmp_path, monkeypatch):
    synonyms = Synonyms(str(tiny_wordnet))
    assert synonyms("large") == ("Big", "big")
    monkeypatch.setattr(wordnet, "ENGLISH_STOP_WORDS", frozenset(["large"]))
    assert Synonyms(str(tiny_wordnet))("LARGE") == ()


def test_the_folder_comes_from_the_variable_or_from_where_debian_has_it(tiny_wordnet, tmp_path, monkeypatch):
    monkeypatch.setattr(wordnet.nltk.data, "path", [])
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "nowhere")
    with pytest.raises(LongtailError, match=r"no dictionaries of WordNet.*apt install wordnet-base.*WNSEARCHDIR"):
        Synonyms()
    monkeypatch.setattr(wordnet, "DEBIAN", tiny_wordnet)
    assert Synonyms().place == str(tiny_wordnet)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.setenv("WNSEARCHDIR", str(tiny_wordnet))
    assert Synonyms()("dog") == ("hound",)
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    with pytest.raises(LongtailError, match="There are no dictionaries of WordNet in"):
        Synonyms()


def test_nltk_s_own_data_are_found(tiny_wordnet, tmp_path, monkeypatch):
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "nowhere")
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "wordnet").symlink_to(tiny_wordnet)
    monkeypatch.setattr(wordnet.nltk.data, "path", [str(tmp_path), str(tiny_wordnet)])
    assert Synonyms()("dog") == ("hound",)


def test_damaged_dictionaries_are_named(tiny_wordnet, tmp_path):
    for path in tiny_wordnet.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "index.noun").write_text("dog n one\n")
    with pytest.raises(LongtailError, match=r"does not hold WordNet's dictionaries whole.*Install them"):
        Synonyms(str(tmp_path))


def test_the_real_dictionaries_if_they_are_here(monkeypatch):
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    if not (wordnet.DEBIAN / "data.noun").is_file():
        pytest.skip(f"no WordNet in {wordnet.DEBIAN}: apt install wordnet-base")
    synonyms = Synonyms()
    assert {"charge", "lade"} <= set(synonyms("loaded"))
    assert synonyms("in") == ()
