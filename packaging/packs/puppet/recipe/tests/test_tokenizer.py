"""The tokenizer: captions come back from their ids, and the shipped files are what the recipe writes."""
import json
from pathlib import Path

import pytest

from puppet.identity import identity
from puppet.picture import SQUARE, sample
from puppet.tokenizer import LENGTH, Tokenizer, learn, save

PACK = Path(__file__).parents[2]
CAPTIONS = [sample(seed, identity(seed), *SQUARE).captions[0] for seed in range(60)]


@pytest.fixture(scope="module")
def shipped():
    return Tokenizer(PACK / "tokenizer")


def words(text):
    return text.replace(",", " ,").replace("-", " - ").split()


@pytest.mark.parametrize("text", CAPTIONS[:20])
def test_a_caption_comes_back_from_its_ids(shipped, text):
    assert shipped.decode(shipped.encode(text)).split() == words(text)


def test_ids_are_padded_with_the_end(shipped):
    ids = shipped.encode("close shot")
    assert len(ids) == LENGTH
    assert ids[0] == shipped.start and set(ids[3:]) == {shipped.end}


def test_every_caption_word_is_one_token(shipped):
    assert len(shipped.encode_words(["close", "shot", "of", "an", "old", "man", ",", "blue", "eyes"])) == 9


def test_the_longest_caption_fits(shipped):
    assert max(sum(i != shipped.end for i in shipped.encode(text)) for text in CAPTIONS) < LENGTH - 10


def test_unknown_words_fall_to_letters(shipped):
    ids = shipped.encode("zzyx")
    assert shipped.decode(ids) == "zzyx"
    assert ids.index(shipped.end) == 5


def test_a_long_text_is_cut_and_still_ends(shipped):
    ids = shipped.encode("close shot " * 60)
    assert len(ids) == LENGTH and ids[-1] == shipped.end


def test_learning_gives_whole_words_and_loadable_files(tmp_path):
    save(learn(["red hair", "red coat", "red hair"]), tmp_path)
    fresh = Tokenizer(tmp_path)
    assert fresh.encode("red hair")[1:3] == [fresh.ids["red</w>"], fresh.ids["hair</w>"]]
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == LENGTH


def test_capitals_do_not_matter(shipped):
    assert shipped.encode("Close SHOT") == shipped.encode("close shot")
