"""Relation extraction (lesson 05) as a fifth task: the entities are marked in the text itself."""

import json
import os
from collections.abc import Sequence

from sklearn.metrics import f1_score

from helpers import CourseError
from helpers.examples import Examples, read_text
from helpers.finetuning.sentiment import Sentiment
from helpers.finetuning.tasks import Settings

MARKS = {"subject_entity": "@", "object_entity": "#"}
NONE = "no_relation"


def mark_entities(example: dict) -> str:
    """ "이순신은 무신이다." -> "@ 이순신 @ 은 # 무신 # 이다.": marks that need no new token.

    Source: Zhou & Chen 2021, "An Improved Baseline for Sentence-level Relation Extraction",
    https://arxiv.org/abs/2102.01373
    """
    text, cuts = example["sentence"], []
    for number, (role, mark) in enumerate(MARKS.items()):
        cuts.append((example[role]["start_idx"], number, mark))
        cuts.append((example[role]["end_idx"] + 1, -1, mark))
    for place, _, mark in sorted(cuts, reverse=True):  # from the end: earlier places stay valid
        text = f"{text[:place]} {mark} {text[place:]}"
    return " ".join(text.split())


class Relation(Sentiment):
    """Files: KLUE-RE's format, a JSON list of sentences with two entities and a label."""

    name = "relation"
    score = "micro_f1"
    settings = Settings(epochs=4)

    def read(self, path: str | os.PathLike, split: str | None = None) -> Examples:
        try:
            rows = json.loads(read_text(path))
            examples = [{"text": mark_entities(r), "label": r["label"]} for r in rows]
            if not examples:
                raise ValueError("no example")
        except (ValueError, KeyError, TypeError) as error:
            raise CourseError(
                f"'{path}'은(는) KLUE-RE 형식의 JSON 파일이 아닙니다. 형식을 확인하십시오."
            ) from error
        return Examples(examples)

    def metrics(self, examples: Sequence[dict], predictions: Sequence) -> dict[str, float]:
        """Micro F1 over all relations but `no_relation`, as KLUE measures it."""
        gold = [example["label"] for example in examples]
        found = [prediction["label"] for prediction in predictions]
        labels = sorted({*gold, *found} - {NONE})
        score = f1_score(gold, found, labels=labels, average="micro", zero_division=0)
        return {"micro_f1": float(score)}
