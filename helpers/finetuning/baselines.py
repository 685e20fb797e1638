"""What each task gives without a BERT: the bar that every number stands beside."""

import re
from collections import Counter
from collections.abc import Callable, Container, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from helpers.finetuning.reading import character_f1, cut_particle, learn_particles, texts_of
from helpers.finetuning.sentiment import classes
from helpers.finetuning.similarity import HIGHEST

WINDOWS = (3, 10)  # words to each side of a candidate answer
LONGEST = 4  # words of a candidate answer


def ngram_regression(train: Sequence[dict], test: Sequence[dict]) -> list[dict]:
    """Sentiment: logistic regression over character n-grams."""
    classes(train)
    rare = 1 if len(train) < 1000 else 2
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, min_df=rare)
    model = make_pipeline(vectors, LogisticRegression(C=4, max_iter=300))
    model.fit([e["text"] for e in train], [e["label"] for e in train])
    rows = model.predict_proba([e["text"] for e in test])
    names = [str(name) for name in model.classes_]
    return [
        {"label": names[p.argmax()], "probabilities": dict(zip(names, p.tolist(), strict=True))}
        for p in rows
    ]


def tfidf_cosine(train: Sequence[dict], test: Sequence[dict]) -> list[float]:
    """Similarity: the cosine of the two sentences' character n-grams, rare ones weighing more."""
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), sublinear_tf=True)
    vectors.fit(example[side] for example in train for side in ("sentence1", "sentence2"))
    first, second = (
        vectors.transform(example[side] for example in test) for side in ("sentence1", "sentence2")
    )
    return (np.asarray(first.multiply(second).sum(axis=1)).ravel() * HIGHEST).tolist()


def name_dictionary(train: Sequence[dict], test: Sequence[dict]) -> list[list]:
    """Entities: the longest name known from `train` at the start of a word, if mostly one."""
    named: dict[str, Counter] = {}
    for example in train:
        for first, end, kind in example["entities"]:
            named.setdefault(example["text"][first:end], Counter())[kind] += 1
    seen = Counter(name for e in train for *_, name in find_names(e["text"], named))
    names = {
        name: kinds.most_common(1)[0][0]
        for name, kinds in named.items()
        if 2 * kinds.total() > seen[name]
    }
    return [
        [(first, end, names[name]) for first, end, name in find_names(e["text"], names)]
        for e in test
    ]


def find_names(text: str, names: Container[str], longest: int = 40) -> list[tuple[int, int, str]]:
    """find_names("김구역과 김구", {"김구", "김구역"}) -> [(0, 3, "김구역"), (5, 7, "김구")]."""
    found: list[tuple[int, int, str]] = []
    for start in (match.start() for match in re.finditer(r"(?<!\w)\S", text)):
        if not found or start >= found[-1][1]:
            ends = range(min(len(text), start + longest), start, -1)
            best = next((end for end in ends if text[start:end] in names), None)
            found += [(start, best, text[start:best])] if best else []
    return found


def sliding_window(train: Sequence[dict], test: Sequence[dict]) -> list[dict]:
    """Reading: the words whose neighbours share most with the question, or below a threshold none.

    Source: Richardson et al. 2013, "MCTest", https://aclanthology.org/D13-1020
    """
    words = []
    for example in train:
        for first, end in example["answers"]:
            word = re.match(r"\S*", example["context"][first:])[0]
            words += [(word, end - first)] * (end - first <= len(word))
    particles = learn_particles(words)
    threshold = -np.inf
    if not all(example["answers"] for example in train):
        gains = []  # (score, what answering gains over not answering)
        for example in train:
            found, gold = overlap_answer(example, particles), texts_of(example)[0]
            gain = character_f1(found["text"], gold) - character_f1("", gold)
            gains.append((found["score"], gain))
        tried = [threshold, *sorted(score for score, _ in gains)]
        threshold = max(tried, key=lambda t: sum(gain for score, gain in gains if score >= t))
    nothing = {"text": "", "start": 0, "end": 0}
    answers = (overlap_answer(example, particles) for example in test)
    return [a if a["score"] >= threshold else {**a, **nothing} for a in answers]


def overlap_answer(example: dict, particles: Sequence[str]) -> dict:
    """The best candidate of a passage; score: the question's bigrams around it, a share."""
    context, question = example["context"], example["question"].replace(" ", "")
    bigrams = sorted({question[i : i + 2] for i in range(len(question) - 1)})
    words = [match.span() for match in re.finditer(r"[\w.,·%]*\w", context)]
    if not words or not bigrams:
        return {"text": "", "start": 0, "end": 0, "score": 0.0}
    shares = np.array([[b in context[first:end] for b in bigrams] for first, end in words])
    weights = np.log1p(1 / (1 + shares.sum(0)))  # what stands everywhere says little
    sums = np.vstack([np.zeros(len(bigrams), int), shares.cumsum(0)])
    best = (-np.inf, 0, 0)
    for size in range(1, min(LONGEST, len(words)) + 1):
        first = np.arange(len(words) - size + 1)
        own = sums[first + size] - sums[first]
        scores = -((own > 0) @ weights)
        for reach in WINDOWS:
            low, high = np.maximum(first - reach, 0), np.minimum(first + size + reach, len(words))
            scores += ((sums[high] - sums[low] - own) > 0) @ weights / len(WINDOWS)
        scores /= weights.sum()
        place = int(scores.argmax())
        best = max(best, (float(scores[place]), -size, place))
    score, size, place = best[0], -best[1], best[2]
    start, (last, end) = words[place][0], words[place + size - 1]
    end = last + cut_particle(context[last:end], particles)
    return {"text": context[start:end], "start": start, "end": end, "score": score}


BASELINES: dict[str, Callable[[Sequence[dict], Sequence[dict]], list]] = {
    "sentiment": ngram_regression,
    "similarity": tfidf_cosine,
    "entities": name_dictionary,
    "reading": sliding_window,
}
