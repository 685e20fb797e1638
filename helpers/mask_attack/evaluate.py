"""One run on files of one's own: train a classifier, attack it in every way asked for, count."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from transformers import BertForMaskedLM

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.course import device_name, profile_name
from helpers.mask_attack.attack import attack_all, check_method, summary
from helpers.mask_attack.candidates import document_words
from helpers.mask_attack.classifier import read_reviews, train_classifier
from helpers.resources import data_files, load_model, load_tokenizer
from helpers.runs import weights_of


def evaluate(
    train_file: str | os.PathLike,
    test_file: str | os.PathLike,
    *,
    model: str | os.PathLike = "mini-bert-ko",
    methods: Sequence[str] = ("bert-attack",),
    attacks: int = 100,
    max_train: int | None = None,
    epochs: int = 4,
    encode: Callable[[list[str]], np.ndarray] | None = None,
    seed: int = 0,
) -> Iterator[dict]:
    """Train on one file and attack texts of another: a row of numbers for each method.

    train_file, test_file: as for `read_reviews`; `max_train` and `attacks` draw that many of them.
    encode: sentences -> vectors, the filter of `attack`. `fooled` and `similarities` have an entry
    for each review, in the same order for every method, so that methods can be compared in pairs;
    null was not attacked, or has no successful text. Raises CourseError as `read_reviews` and
    `check_method` do, before any training.
    """
    for name in methods:
        check_method(name)
    reviews, heldout = read_reviews(train_file, "train"), read_reviews(test_file, "test")
    device = device_name(profile_name())
    if max_train is not None and max_train < len(reviews):
        reviews = reviews.sample(max_train, random_state=seed)
    texts, labels = reviews["text"].tolist(), reviews["label"].tolist()
    network, tokenizer = load_model(BertForMaskedLM, model).to(device), load_tokenizer(model)
    short = that_fit(heldout, tokenizer, max_tokens(network.config))
    classifier = train_classifier(model, texts, labels, epochs=epochs, seed=seed, device=device)
    test_accuracy = classifier.accuracy(heldout["text"], heldout["label"])
    targets = short.sample(min(attacks, len(short)), random_state=seed)
    options = {"encode": encode, "vocabulary": korean_words(), "seed": seed}
    for name in methods:
        results = attack_all(classifier, network, tokenizer, targets, method=name, **options)
        # JSON has no NaN: a mean over no attack that succeeded is null.
        scores = {k: None if v != v else v for k, v in summary(results).items()}
        head = {"method": name, "weights": weights_of(model), "train": len(texts)}
        head["attacked"] = scores.pop("reviews")
        fooled = [r.success if r.predicted == r.label else None for r in results]
        near = [round(r.similarity, 4) if r.success else None for r in results]
        each = {"fooled": fooled, "similarities": near}
        yield head | {"test_accuracy": test_accuracy} | scores | each


def korean_words() -> list[str]:
    """The words of the embedded documents, which no classifier here has learned from."""
    texts = (file.read_text(encoding="utf-8") for file in data_files("korean-documents"))
    return document_words(line for text in texts for line in text.splitlines())


def that_fit(reviews: pd.DataFrame, tokenizer: Any, most: int) -> pd.DataFrame:
    """The reviews of at most `most` tokens; of the others a line on stderr says how many.

    Raises CourseError if there is none.
    """
    rows = tokenizer(reviews["text"].tolist(), verbose=False)["input_ids"]
    short = reviews[[len(ids) <= most for ids in rows]]
    if short.empty:
        raise CourseError(
            f"공격할 글이 모두 {most}토큰보다 깁니다. 더 짧은 글이 든 파일을 주십시오."
        )
    if left_out := len(reviews) - len(short):
        print(
            f"모델이 한 번에 읽는 {most}토큰보다 긴 글 {left_out}개는 공격하지 않습니다.",
            file=sys.stderr,
        )
    return short
