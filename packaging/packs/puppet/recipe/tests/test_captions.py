"""Captions: fixed words in a fixed order, true to the picture."""
import random
from dataclasses import replace

import pytest

from puppet.caption import caption
from puppet.identity import EYES, HAIR_STYLES, HAIRS, SKINS, identity
from puppet.situation import COLOURS, EXPRESSIONS, GARMENTS, PLACES, TIMES, Scene, Situation

SEEN = Situation(20, 0, 0, "smiling", "coat", "blue", 1, 0.5, 0.5, 30)
LAB = Scene("laboratory", "night", 0)


class Always(random.Random):
    """Names everything, shuffles nothing."""

    def random(self):
        return 0.5


def puppet(**changes):
    plain = dict(sex="woman", age="young", hair="curly", hair_colour="blue", skin="fair", eye_colour="blue", beard="none", glasses="none")
    return replace(identity(1), **{**plain, "freckles": False, "scar": 0, **changes})


def say(who, seen=SEEN, shot="close"):
    return caption(Always(), who, seen, LAB, shot, keep=1)


def test_everything_is_named_in_one_order():
    who = puppet(sex="man", age="old", beard="goatee", glasses="round glasses", freckles=True, scar=2)
    assert say(who) == (
        "close shot of an old man, blue curly hair, fair skin, blue eyes, goatee, round glasses, freckles, scar, blue shirt coat, "
        "smiling, looking right, laboratory, night"
    )


@pytest.mark.parametrize(("age", "start"), [("young", "a young"), ("adult", "an adult"), ("old", "an old")])
def test_the_article_fits_the_age(age, start):
    assert say(puppet(age=age)).startswith(f"close shot of {start} woman")


def test_a_bald_head_has_no_hair_colour():
    text = say(puppet(hair="bald"))
    assert "bald" in text and "hair" not in text


def test_eyes_behind_sunglasses_are_not_described():
    text = say(puppet(glasses="sunglasses"))
    assert "sunglasses" in text and "eyes" not in text


@pytest.mark.parametrize(("garment", "words"), [("hoodie", "blue hoodie"), ("suit", "blue shirt suit"), ("coat", "blue shirt coat")])
def test_the_colour_is_that_of_what_can_change_colour(garment, words):
    assert f", {words}," in say(puppet(), replace(SEEN, garment=garment))


@pytest.mark.parametrize(("yaw", "words"), [(-20, "looking left"), (5, None), (20, "looking right")])
def test_only_a_turned_head_looks_somewhere(yaw, words):
    text = say(puppet(), replace(SEEN, yaw=yaw))
    assert words in text if words else "looking" not in text


def test_attributes_are_left_out_at_random():
    full = len(say(puppet()).split(", "))
    lengths = [len(caption(random.Random(n), puppet(), SEEN, LAB, "close").split(", ")) for n in range(200)]
    assert 0.6 * full < sum(lengths) / 200 < 0.85 * full
    assert max(lengths) <= full


def test_the_words_are_few():
    words = set()
    for n in range(3000):
        rng = random.Random(n)
        seen = replace(SEEN, garment=rng.choice(GARMENTS), garment_colour=rng.choice(list(COLOURS)), expression=rng.choice(EXPRESSIONS))
        words |= set(caption(rng, identity(n), seen, Scene(rng.choice(PLACES), rng.choice(TIMES), 0), "wide").replace(",", "").split())
    assert {*HAIRS, *SKINS, *EYES} <= words
    assert {w for style in HAIR_STYLES for w in style.split()} <= words
    assert len(words) < 90
