"""Says in words what a picture shows: the only language that the generator knows.

The fixed order of the parts is what pack.template.toml writes prompts in.
"""
from __future__ import annotations

import random

from .identity import Identity
from .situation import Scene, Situation

IN_COMPANY = ", group"  # ends the caption of each of several people, or pictures of one person would get two heads


def caption(rng: random.Random, who: Identity, seen: Situation, scene: Scene, shot: str, keep: float = 0.75) -> str:
    """Describes a picture; each attribute is named with probability `keep`, and in three of ten the order is shuffled."""

    def named() -> bool:
        return rng.random() < keep

    if who.age != "young":
        named()  # an early version drew the article here; without this draw every later choice would change
    head = f"{shot} shot of {'a' if who.age == 'young' else 'an'} {who.age} {who.sex}"
    rest = []

    def say(words: str) -> None:
        if named():
            rest.append(words)

    say("bald" if who.hair == "bald" else f"{who.hair_colour} {who.hair} hair")
    say(f"{who.skin} skin")
    if named() and who.glasses != "sunglasses":
        rest.append(f"{who.eye_colour} eyes")
    for mark in marks(who):
        say(mark)
    say(clothes(seen))
    say(seen.expression)
    if abs(seen.yaw) > 14:
        say("looking right" if seen.yaw > 0 else "looking left")
    say(scene.place)
    say(scene.time)
    if rng.random() < 0.3:
        rng.shuffle(rest)
    return ", ".join([head, *rest])


def caption_of_nobody(rng: random.Random, scene: Scene, shot: str, keep: float = 0.75) -> str:
    """Describes a picture without its people: an empty one, or what lies around those who have captions of their own."""
    return ", ".join([f"{shot} shot", *(word for word in (scene.place, scene.time) if rng.random() < keep)])


def marks(who: Identity) -> list[str]:
    """Beard, glasses, freckles and scar, where there are any."""
    worn = [trait for trait in (who.beard, who.glasses) if trait != "none"]
    return worn + ["freckles"] * who.freckles + ["scar"] * bool(who.scar)


def clothes(seen: Situation) -> str:
    """The garment with the colour that can change: of a suit or a coat, that of what is worn below."""
    below = " shirt" if seen.garment in ("suit", "coat") else ""
    return f"{seen.garment_colour}{below} {seen.garment}"
