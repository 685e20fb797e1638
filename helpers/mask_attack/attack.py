"""Change a few words, as a masked model suggests, until a classifier changes its mind."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics.pairwise import cosine_similarity

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.mask_attack.candidates import METHODS, join, suggestions
from helpers.text import check_text


@dataclass
class Attack:
    """One attacked text.

    words: (word now, word before) in order; before is "" for an inserted word. predicted: the
    classifier's answer to the untouched text; where it is not the label nothing was attacked.
    similarity: cosine of the two sentence vectors, 1.0 without a filter.
    """

    text: str
    label: int
    predicted: int
    words: tuple[tuple[str, str], ...]
    success: bool
    queries: int
    similarity: float = 1.0

    @property
    def adversarial(self) -> str:
        return " ".join(now for now, _ in self.words)

    @property
    def changed(self) -> int:
        """How many words were replaced or inserted."""
        return sum(now != before for now, before in self.words)

    def __repr__(self) -> str:
        marked = (n if n == b else f"[{b}→{n}]" if b else f"[+{n}]" for n, b in self.words)
        return " ".join(marked)

    def _repr_html_(self) -> str:
        parts = []
        for now, before in self.words:
            old = f"<del>{escape(before)}</del> " if before and now != before else ""
            new = escape(now) if now == before else f"<mark>{escape(now)}</mark>"
            parts.append(old + new)
        return f"<div>{' '.join(parts)}</div>"


def attack(
    classify: Callable[[list[str]], np.ndarray],
    model: Any,
    tokenizer: Any,
    text: str,
    label: int,
    *,
    method: str = "bert-attack",
    encode: Callable[[list[str]], np.ndarray] | None = None,
    min_similarity: float = 0.8,
    max_share: float = 0.4,
    top_k: int = 16,
    vocabulary: Sequence[str] = (),
    seed: int = 0,
) -> Attack:
    """Replace (or insert) words greedily, most important first, until the classifier is wrong.

    classify: texts -> probabilities [texts, classes]. method: 'bert-attack' (pieces of the
    unmasked word, recombined), 'bae-r' (one mask for the word), 'bae-r-stem' (one for its stem),
    'bae-i' (a mask inserted after it) or 'random' (words of `vocabulary`). At most `max_share` of
    the words change. With `encode` (sentences -> vectors) candidates whose cosine with the original
    is below `min_similarity` are dropped. Every text shown to the classifier counts as a query.
    Raises CourseError for an empty or over-long text, and for an unknown method.
    Sources: Li et al. 2020, "BERT-ATTACK"; Garg & Ramakrishnan 2020, "BAE".
    """
    check_method(method)
    text = check_text(text)
    words, rng = words_of(text, max_tokens(model.config)), random.Random(f"{seed}/{text}")
    probability = classify([text])[0]
    result = Attack(text, label, int(probability.argmax()), tuple((w, w) for w in words), False, 1)
    if result.predicted != label:
        return result
    vector = encode([text]) if encode else None
    order = list(range(len(words)))
    if method == "random":
        rng.shuffle(order)
    else:
        order = word_importance(classify, tokenizer, words, label, probability[label])[1]
        result.queries += len(words)
    now, lowest = [[word] for word in words], probability[label]  # an insertion: two at a place
    for place in order[: int(max_share * len(words))]:
        options = suggestions(model, tokenizer, now, place, method, top_k, vocabulary, rng)
        texts = [join(now, place, option) for option in options]
        cosines = np.ones(len(texts))
        if encode and texts:
            cosines = cosine_similarity(encode(texts), vector)[:, 0]
        kept = [i for i, cosine in enumerate(cosines) if cosine >= min_similarity]
        if not kept:
            continue
        answers = classify([texts[i] for i in kept])
        result.queries += len(kept)
        best, result.success = strongest(kept, answers, cosines, label)
        if not result.success and answers[:, label].min() >= lowest:
            continue
        lowest = answers[:, label].min()
        now[place], result.similarity = options[best], float(cosines[best])
        if result.success:
            break
    result.words = with_originals(now, words)
    return result


def words_of(text: str, most: int) -> list[str]:
    """The words of a text. Raises CourseError for none, and for more than `most`."""
    if not (words := text.split()):
        raise CourseError("빈 문장은 공격할 수 없습니다. 낱말이 있는 문장을 주십시오.")
    if len(words) > most:  # a word is a piece at least
        raise CourseError("문장이 모델의 한계보다 깁니다. 문장을 줄이십시오.")
    return words


def strongest(
    kept: list[int], answers: np.ndarray, cosines: np.ndarray, label: int
) -> tuple[int, bool]:
    """The most similar candidate that fools the classifier, True; else the one that hurts most."""
    fooled = [i for i, answer in zip(kept, answers, strict=True) if answer.argmax() != label]
    if fooled:
        return max(fooled, key=lambda i: cosines[i]), True
    return kept[answers[:, label].argmin()], False


def with_originals(now: list[list[str]], words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """with_originals([["정말", "참"]], ["정말"]) -> (("정말", "정말"), ("참", ""))"""
    pairs = []
    for (first, *inserted), before in zip(now, words, strict=True):
        pairs += [(first, before), *((word, "") for word in inserted)]
    return tuple(pairs)


def check_method(name: str) -> None:
    """Raise CourseError if there is no such method."""
    if name not in METHODS:
        raise CourseError(
            f"{name!r}(이)라는 방법은 없습니다. {', '.join(METHODS)} 가운데 고르십시오."
        )


def word_importance(
    classify: Callable[[list[str]], np.ndarray],
    tokenizer: Any,
    words: Sequence[str],
    label: int,
    probability: float,
) -> tuple[np.ndarray, list[int]]:
    """How much the label's probability falls where a word is masked: falls [words], order."""
    mask = tokenizer.mask_token
    masked = [" ".join([*words[:i], mask, *words[i + 1 :]]) for i in range(len(words))]
    falls = probability - classify(masked)[:, label]
    return falls, np.argsort(-falls, kind="stable").tolist()


def summary(results: Sequence[Attack]) -> dict[str, float]:
    """Shares of all texts (accuracy) or of those attacked (success); the rest are means."""
    attacked = [r for r in results if r.predicted == r.label]
    won = [r for r in attacked if r.success]

    def mean(values: list[float]) -> float:
        return float(np.mean(values)) if values else float("nan")

    return {
        "reviews": len(results),
        "accuracy": len(attacked) / len(results),
        "accuracy_under_attack": (len(attacked) - len(won)) / len(results),
        "success_rate": mean([r.success for r in attacked]),
        "words_changed": mean([r.changed / len(r.text.split()) for r in won]),
        "queries": mean([r.queries for r in attacked]),
        "similarity": mean([r.similarity for r in won]),
    }


def attack_all(
    classify: Callable[[list[str]], np.ndarray],
    model: Any,
    tokenizer: Any,
    reviews: pd.DataFrame,
    **options: Any,
) -> list[Attack]:
    """Attack every row (`text`, `label`) of a table; options as for `attack`."""
    pairs = zip(reviews["text"], reviews["label"], strict=True)
    return [attack(classify, model, tokenizer, text, label, **options) for text, label in pairs]
