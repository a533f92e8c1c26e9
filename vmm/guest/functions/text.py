# SPDX-License-Identifier: Apache-2.0
"""text: finds, counts and corrects the words of a text, against a dictionary that the warm function
holds.

  {"words": count, "seed": number, "input": size}

Large: more words, rare ones as often as common ones.
"""

import collections
import hashlib
import random
import re

from . import is_large, number

WORDS_DEFAULT = 8000
WORDS_LARGE = 20_000
WORDS_MAX = 200_000
DICTIONARY_WORDS = 20_000
SYLLABLES = ("ba", "con", "de", "er", "fi", "gra", "ho", "in", "ja", "ko", "lu", "men", "no", "or")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
NUMBER = re.compile(r"(?<!\w)\d{1,3}(?:,\d{3})*(?:\.\d+)?(?!\w)")
ADDRESS = re.compile(r"\b[\w.+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}\b")


def _make_dictionary() -> list[str]:
    source = random.Random(20_000)
    words: set[str] = set()
    while len(words) < DICTIONARY_WORDS:
        words.add("".join(source.choice(SYLLABLES) for _ in range(source.randint(2, 5))))
    return sorted(words)


DICTIONARY = _make_dictionary()
RANKS = {word: rank for rank, word in enumerate(DICTIONARY)}


def make_text(words: int, seed: int, rare: bool) -> str:
    source = random.Random(seed)
    out = []
    for _ in range(words):
        # Squared: some words are common, most are rare.
        rank = source.random() if rare else source.random() ** 2
        word = DICTIONARY[int(rank * len(DICTIONARY))]
        kind = source.random()
        if kind < 0.03:
            at = source.randrange(len(word))
            word = word[:at] + source.choice(LETTERS) + word[at + 1 :]
        elif kind < 0.05:
            word = f"{source.randrange(10_000):,}.{source.randrange(100)}"
        elif kind < 0.06:
            word = f"{word}@{source.choice(SYLLABLES)}.example"
        elif kind < 0.12:
            word = word.capitalize()
        out.append(word + source.choice(("", "", "", ",", ".", ";")))
    return " ".join(out)


def corrected(word: str) -> str:
    """The first dictionary word that differs in one letter, or the word."""
    candidates = (
        word[:at] + letter + word[at + 1 :] for at in range(len(word)) for letter in LETTERS
    )
    known = [candidate for candidate in candidates if candidate in RANKS]
    return min(known, key=RANKS.__getitem__, default=word)


def answer(request: dict) -> dict:
    large = is_large(request)
    words = number(request, "words", WORDS_LARGE if large else WORDS_DEFAULT, WORDS_MAX)
    text = make_text(words, int(request.get("seed", 1)), large)
    addresses = ADDRESS.findall(text)
    numbers = NUMBER.findall(text)
    counts: collections.Counter[str] = collections.Counter()
    unknown = 0
    for word in WORD.findall(ADDRESS.sub(" ", text)):
        word = word.lower()
        if word not in RANKS:
            unknown += 1
            word = corrected(word)
        counts[word] += 1
    ranking = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    result = f"{ranking}\n{sorted(addresses)}\n{numbers}"
    return {
        "distinct": len(counts),
        "unknown": unknown,
        "addresses": len(addresses),
        "sha256": hashlib.sha256(result.encode()).hexdigest(),
    }
