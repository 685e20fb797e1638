"""From files of relations to a row of the log: train, choose the epoch, measure as KLUE does."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import TrainerCallback

from helpers.architectures import fit_length
from helpers.batches import WIDTH
from helpers.entity_bert.metrics import auprc, label_names, micro_f1, outcomes, type_baseline
from helpers.entity_bert.spans import add_special_tokens, read_examples
from helpers.entity_bert.train import KeepBest, Settings, encode_all, predict_rows, train
from helpers.resources import load_config, load_tokenizer
from helpers.runs import make_folder


@dataclass(frozen=True)
class Result:
    """One run: micro F1 and AUPRC in percent, seconds, every `outcomes`.

    dev_scores: micro F1 on the development file after every epoch. type_f1: of `type_baseline`.
    """

    variant: str
    seed: int
    micro_f1: float
    auprc: float
    seconds: float
    train_examples: int
    test_examples: int
    sentences_per_second: float
    dev_scores: tuple[float, ...]
    type_f1: float
    outcomes: str


def evaluate(
    train_file: str | os.PathLike,
    test_file: str | os.PathLike,
    variant: str = "entity_embedding",
    seed: int = 0,
    *,
    dev_file: str | os.PathLike | None = None,
    model: str | os.PathLike = "mini-bert-ko",
    settings: Settings | None = None,
    output: str | os.PathLike | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Result:
    """Train on one KLUE-RE file and measure on another; `output` keeps the model and its tokenizer.

    With a third, `dev_file`, the epoch is chosen: see `KeepBest`.
    Raises CourseError as `read_examples` and `train` do, before any training.
    """
    settings = settings or Settings()
    examples, unseen = read_examples(train_file), read_examples(test_file)
    dev = read_examples(dev_file) if dev_file else []
    labels = label_names(examples, unseen, dev)
    tokenizer = load_tokenizer(model)
    add_special_tokens(tokenizer, variant)
    longest = fit_length(settings.max_length, load_config(model), WIDTH)
    settings = replace(settings, max_length=longest)
    rows = encode_all(tokenizer, unseen, variant, longest)  # raises before the minutes of training
    if output:
        make_folder(output)
    keep = [KeepBest(dev, longest)] if dev else []
    options = {"labels": labels, "settings": settings, "callbacks": [*keep, *callbacks]}
    start = time.perf_counter()
    trained, tokenizer = train(examples, variant, model, seed, **options)
    training = time.perf_counter() - start
    probabilities = predict_rows(trained, tokenizer, rows)
    gold = [example["label"] for example in unseen]
    predicted = [labels[i] for i in probabilities.argmax(1)]
    result = Result(
        variant,
        seed,
        round(micro_f1(gold, predicted), 2),
        round(auprc(gold, probabilities, labels), 2),
        round(time.perf_counter() - start, 1),
        len(examples),
        len(unseen),
        round(settings.epochs * len(examples) / training, 1),
        tuple(round(score, 2) for callback in keep for score in callback.scores),
        round(micro_f1(gold, type_baseline(examples, unseen)), 2),
        outcomes(gold, predicted),
    )
    if output:
        trained.save_pretrained(output)
        tokenizer.save_pretrained(output)
    return result
