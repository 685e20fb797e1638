"""Lesson 01, Hugging Face basics: a tokenizer taken apart, stage by stage."""

import re
from collections.abc import Iterable
from typing import Any

from helpers.text import check_text


def tokenization_stages(tokenizer: Any, text: str) -> dict[str, dict[str, list]]:
    """Show what each stage of a BERT tokenizer makes of a text.

    "한국어!" -> {"1. 정규화(normalizer)": {"tokens": ["한국어!"]},
                 "2. 사전 토큰화(pre-tokenizer)": {"tokens": ["한국어", "!"]},
                 "3. WordPiece": {"tokens": ["한국", "##어", "!"], "marks": ["1", "1", "2"]},
                 "4. 후처리(post-processor)": {"tokens": ["[CLS]", ...], "ids": [2, ...]}}

    A mark is the number of the word that a piece comes from. Added tokens such as [MASK] are cut
    out before the stages and stay whole, as in the library: special ones from the text as it was
    typed, the others after normalisation.
    """
    text = check_text(text)
    backend = tokenizer.backend_tokenizer
    normalise = backend.normalizer.normalize_str
    added = tokenizer.added_tokens_decoder.values()
    typed = cut_out([t.content for t in added if not t.normalized], text)
    clean = [(s if whole else normalise(s), whole) for s, whole in typed]
    late = [normalise(t.content) for t in added if t.normalized]
    parts = [part for s, whole in clean for part in ([(s, True)] if whole else cut_out(late, s))]
    words = []
    for s, whole in parts:
        found = [s] if whole else [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(s)]
        words += [(word, whole) for word in found]
    pieces = [
        [word] if whole else [piece.value for piece in backend.model.tokenize(word)]
        for word, whole in words
    ]
    ids = tokenizer(text)["input_ids"]
    return {
        "1. 정규화(normalizer)": {"tokens": [s for s, _ in clean]},
        "2. 사전 토큰화(pre-tokenizer)": {"tokens": [word for word, _ in words]},
        "3. WordPiece": {
            "tokens": [piece for word in pieces for piece in word],
            "marks": [str(number) for number, word in enumerate(pieces, start=1) for _ in word],
        },
        "4. 후처리(post-processor)": {"tokens": tokenizer.convert_ids_to_tokens(ids), "ids": ids},
    }


def cut_out(added: Iterable[str], text: str) -> list[tuple[str, bool]]:
    """cut_out(["[MASK]"], "a[MASK]") -> [("a", False), ("[MASK]", True)]; the longest wins."""
    added = sorted(added, key=len, reverse=True)
    pieces = re.split(f"({'|'.join(map(re.escape, added))})", text) if added else [text]
    return [(piece, number % 2 == 1) for number, piece in enumerate(pieces) if piece]
