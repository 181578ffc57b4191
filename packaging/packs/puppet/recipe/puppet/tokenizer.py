"""A small byte-level BPE tokenizer in CLIP's files, learnt from the captions."""
from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

LENGTH = 56
START, END = "<|startoftext|>", "<|endoftext|>"
WORD = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]+")
Pair = tuple[str, str]


def byte_letters() -> list[str]:
    """The 256 printable letters that CLIP's and GPT-2's byte-level BPE write bytes in, in CLIP's order."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in keep]
    return [chr(c) for c in keep] + [chr(256 + n) for n in range(len(rest))]


def learn(captions: Iterable[str], most: int = 600) -> list[Pair]:
    """The merges that grow each word from its letters, most frequent pairs first; any other text falls to bytes."""
    counts = Counter(word for caption in captions for word in WORD.findall(caption.lower()))
    split = {word: letters(word) for word in counts}
    merges: list[Pair] = []
    while len(merges) < most:
        pairs: Counter[Pair] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        merges.append(max(pairs, key=lambda k: (pairs[k], k)))
        split = {word: join(parts, merges[-1]) for word, parts in split.items()}
    return merges


def letters(word: str) -> list[str]:
    """A word as single letters, the last one marked as its end."""
    return [*word[:-1], word[-1] + "</w>"]


def join(parts: list[str], pair: Pair) -> list[str]:
    """`parts` with every occurrence of `pair` made one."""
    out, i = [], 0
    while i < len(parts):
        hit = tuple(parts[i : i + 2]) == pair
        out.append("".join(pair) if hit else parts[i])
        i += 2 if hit else 1
    return out


def save(merges: list[Pair], folder: Path) -> None:
    """Writes CLIPTokenizer's four files."""
    base = byte_letters()
    vocabulary = [*base, *(b + "</w>" for b in base), *map("".join, merges), START, END]
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, **special, "do_lower_case": True}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))


class Tokenizer:
    """Reads CLIP's files and turns captions into ids; equal to transformers' CLIPTokenizer on the captions' alphabet."""

    def __init__(self, folder: Path):
        self.ids: dict[str, int] = json.loads((folder / "vocab.json").read_text())
        lines = (folder / "merges.txt").read_text().splitlines()[1:]
        self.merges: list[Pair] = [tuple(line.split()) for line in lines]
        self.start, self.end = self.ids[START], self.ids[END]

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, text: str) -> list[int]:
        """LENGTH ids: start, the text, end, and ends to fill up."""
        inner = self.encode_words(WORD.findall(text.lower()))
        return ([self.start, *inner[: LENGTH - 2]] + [self.end] * LENGTH)[:LENGTH]

    def encode_words(self, words: Iterable[str]) -> list[int]:
        """The ids of some words, without start and end."""
        return [self.ids[part] for word in words for part in self.split(word)]

    def decode(self, ids: Iterable[int]) -> str:
        """The words of some ids, single spaces between them."""
        names = {i: token for token, i in self.ids.items()}
        return "".join(names[i] for i in ids if i not in (self.start, self.end)).replace("</w>", " ").strip()

    def split(self, word: str) -> list[str]:
        parts = letters(word)
        for pair in self.merges:
            if len(parts) > 1:
                parts = join(parts, pair)
        return parts
