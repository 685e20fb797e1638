"""Small texts for the tests of lesson 04: Korean sentences by rule, and words that are numbers."""

import random
from pathlib import Path

from helpers.korean_pretraining.wordpiece import SPECIAL_TOKENS, wordpiece_tokenizer

NOUNS = "서울 부산 한강 바다 학교 도서관 책 역사 과학 음악 나라 왕 나무 고양이 기차 박물관".split()
VERBS = "있다 없다 크다 작다 아름답다 오래되었다 유명하다 흐른다 달린다 시작되었다".split()
PLACES = "옛날에 지금도 겨울에 아침마다 대한민국에서 마을에서".split()


def sentence(rng: random.Random) -> str:
    """Give one sentence, such as "겨울에 부산의 바다는 크다."."""
    first, second, verb = rng.choice(NOUNS), rng.choice(NOUNS), rng.choice(VERBS)
    return f"{rng.choice(PLACES)} {first}의 {second}은 {verb}."


def write_korean(path: Path, documents: int = 40, seed: int = 0) -> Path:
    """Write documents of 3 to 8 sentences."""
    rng = random.Random(seed)
    texts = [[sentence(rng) for _ in range(rng.randint(3, 8))] for _ in range(documents)]
    path.write_text("\n\n".join("\n".join(text) for text in texts) + "\n", encoding="utf-8")
    return path


def write_numbers(path: Path, documents: list[list[int]]) -> Path:
    """Write sentences of the given lengths in which no word comes twice: [[2, 1], [1]]
    -> "w0 w1", "w2", "", "w3".
    """
    number, texts = 0, []
    for lengths in documents:
        lines = []
        for length in lengths:
            lines.append(" ".join(f"w{number + i}" for i in range(length)))
            number += length
        texts.append("\n".join(lines))
    path.write_text("\n\n".join(texts), encoding="utf-8")
    return path


def number_tokenizer(size: int):
    """Give a tokenizer that makes the words of `write_numbers` the ids 5, 6, 7 ..."""
    pieces = SPECIAL_TOKENS + [f"w{i}" for i in range(size)]
    return wordpiece_tokenizer({piece: i for i, piece in enumerate(pieces)})
