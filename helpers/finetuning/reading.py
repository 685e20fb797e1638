"""Machine reading: windows over long passages, spans out of logits, exact match, F1."""

import json
import os
import re
import string
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from transformers import BertForQuestionAnswering

from helpers import CourseError
from helpers.examples import Examples, choose_split, clean, read_text
from helpers.finetuning.tasks import Settings, Task

LONGEST_ANSWER = 30  # pieces
REACH = 32  # characters: how far from its stated start an answer may be found again
MARKS = re.compile(r"['\"《》<>〈〉()‘’]")


def read_reading(path: str | os.PathLike, split: str | None = None) -> Examples:
    """Read SQuAD's layout: [{"id", "question", "context", "answers": [(first, end), ...]}, ...].

    No answer is an empty list (SQuAD 2.0: `is_impossible`). An answer that does not stand at its
    stated start is looked for around it; where it is not found the question is refused with its id.
    split: only the titles whose `split` says so, if there are any.
    Raises CourseError for a file that is no such JSON or has no question left.
    """
    try:
        data = json.loads(read_text(path))["data"]
        articles = choose_split(data, split, lambda article: article.get("split"), path)
        found = reading_examples(p for article in articles for p in article["paragraphs"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(
            f"'{path}'은(는) SQuAD 형식(data, paragraphs, qas)의 JSON 파일이 아닙니다. 형식을 "
            f"확인하십시오({type(error).__name__}: {error})."
        ) from error
    if not found:
        raise CourseError(f"'{path}'에 쓸 수 있는 질문이 없습니다. 질문과 답을 확인하십시오.")
    return found


def reading_examples(paragraphs: Iterable[dict]) -> Examples:
    """The examples of SQuAD's paragraphs: a `context` and its `qas` each."""
    examples, refused = [], []
    for paragraph in paragraphs:
        context, places = clean(paragraph["context"])
        for entry in paragraph["qas"]:
            name, question = str(entry["id"]), clean(entry["question"])[0]
            stated = [] if entry.get("is_impossible") else entry["answers"]
            spans = []
            for answer in stated:
                start = bisect_right(places, int(answer["answer_start"])) - 1
                spans.append(find_answer(context, clean(answer["text"])[0], start))
            if None in spans:
                refused.append(f"{name}: 답이 본문의 적힌 자리에 없습니다.")
            elif not question.strip() or not context.strip():
                refused.append(f"{name}: 질문이나 본문이 비어 있습니다.")
            else:
                example = {"id": name, "question": question, "context": context}
                examples.append({**example, "answers": spans})
    return Examples(examples, refused)


def find_answer(context: str, answer: str, start: int) -> tuple[int, int] | None:
    """find_answer("서울은 수도", "수도", 3) -> (4, 6): the nearest place of an answer, or None.

    It must lie within REACH characters of `start` unless the passage holds it only once.
    """
    answer = answer.strip()
    places = [match.start() for match in re.finditer(f"(?={re.escape(answer)})", context)]
    if not answer or not places:
        return None
    nearest = min(places, key=lambda place: abs(place - start))
    if abs(nearest - start) > REACH and len(places) > 1:
        return None
    return nearest, nearest + len(answer)


def passages(tokenizer: Any) -> Callable[[str], tuple[list[int], list[tuple[int, int]]]]:
    """A function from a passage to its ids and offsets; it computes them once a passage."""
    options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
    parts = itemgetter("input_ids", "offset_mapping")
    return cache(lambda context: parts(tokenizer(context, **options)))


def pieces_of(offsets: Sequence[tuple[int, int]], first: int, end: int) -> tuple[int, int] | None:
    """pieces_of([(0, 3), (4, 6)], 4, 5) -> (1, 1): first and last piece that touch it, or None."""
    shared = [i for i, (start, stop) in enumerate(offsets) if start < end and first < stop]
    return (shared[0], shared[-1]) if shared else None


def best_span(
    starts: np.ndarray, ends: np.ndarray, longest: int = LONGEST_ANSWER
) -> tuple[float, int, int]:
    """best_span([0, 5, 1], [4, 0, 3]) -> (8.0, 1, 2): the highest start + end of a span.

    At least one and at most `longest` pieces long. starts, ends: logits [pieces].
    """
    scores = np.add.outer(np.asarray(starts, float), np.asarray(ends, float))
    allowed = np.triu(np.tri(len(scores), k=longest - 1, dtype=bool))
    first, last = divmod(int(np.where(allowed, scores, -np.inf).argmax()), scores.shape[1])
    return float(scores[first, last]), first, last


def learn_particles(words: Iterable[tuple[str, int]]) -> list[str]:
    """learn_particles([("서울에서", 2), ("부산에서", 2), ("회의", 2)]) -> ["에서"].

    words: the last word of an answer, and how many of its characters the answer takes. What is left
    over is a particle, unless as many answers end in the same letters.
    """
    cut, kept = Counter(), Counter()
    for word, size in words:
        if size < len(word):
            cut[word[size:]] += 1
        kept.update(word[i:] for i in range(1, len(word)) if i < size == len(word))
    return sorted(ending for ending, count in cut.items() if count > kept[ending])


def cut_particle(word: str, particles: Sequence[str]) -> int:
    """cut_particle("서울에서", ["서", "에서"]) -> 2: what stays without the longest particle."""
    fitting = [len(p) for p in particles if word.endswith(p) and len(p) < len(word)]
    return len(word) - max(fitting, default=0)


def normalize_answer(text: str) -> str:
    """normalize_answer("《한강》, (漢江)") -> "한강 漢江": without what answers may differ in.

    Source: KorQuAD 1.0's evaluation script, https://korquad.github.io
    """
    text = MARKS.sub(" ", text).lower()
    return " ".join("".join(c for c in text if c not in string.punctuation).split())


def exact_match(predicted: str, gold: str) -> float:
    return float(normalize_answer(predicted) == normalize_answer(gold))


def character_f1(predicted: str, gold: str) -> float:
    """character_f1("서울에서", "서울") -> 0.667: F1 over the characters, blanks left out.

    Words would be too coarse, as particles stick to them. No answer is right only if there is none.
    Source: KorQuAD 1.0's evaluation script.
    """
    found, right = (Counter(normalize_answer(text).replace(" ", "")) for text in (predicted, gold))
    shared = (found & right).total()
    if not found or not right:
        return float(found == right)
    return 2 * shared / (found.total() + right.total())


def texts_of(example: dict) -> list[str]:
    """The gold answers of an example; [""] for none."""
    return [example["context"][first:end] for first, end in example["answers"]] or [""]


class Reading(Task):
    """Files: see `read_reading`. A prediction is {"text", "start", "end", "score"}."""

    name = "reading"
    columns = ("question", "context")
    head = BertForQuestionAnswering
    score = "f1"
    settings = Settings(epochs=8, max_length=256)

    def read(self, path: str | os.PathLike, split: str | None = None) -> Examples:
        return read_reading(path, split)

    def head_options(self, tokenizer: Any, examples: Sequence[dict]) -> dict:
        words, encoded = [], passages(tokenizer)
        for example in examples:
            for first, end in example["answers"]:
                _, offsets = encoded(example["context"])
                if span := pieces_of(offsets, first, end):
                    start, stop = offsets[span[1]]
                    words.append((example["context"][start:stop], end - start))
        return {
            "particles": learn_particles(words),
            "no_answer": not all(example["answers"] for example in examples),
            "null_threshold": 0.0,
        }

    def encode(self, tokenizer, examples, config, max_length, labels):
        """[CLS] question, half at most [SEP] window [SEP]; windows overlap by a third."""
        encoded, rows = passages(tokenizer), []
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        for number, example in enumerate(examples):
            question = tokenizer(example["question"], add_special_tokens=False)["input_ids"]
            question = [cls, *question[: max_length // 2 - 2], sep]
            ids, offsets = encoded(example["context"])
            room = max_length - len(question) - 1
            for first in range(0, max(1, len(ids) - room // 3), room - room // 3):
                window = [*ids[first : first + room], sep]
                row = {
                    "input_ids": question + window,
                    "token_type_ids": [0] * len(question) + [1] * len(window),
                    "offsets": offsets[first : first + room],
                    "example": number,
                }
                if labels:
                    row |= self.positions(example, row["offsets"], len(question))
                rows.append(row)
        return rows

    def positions(self, example: dict, offsets: Sequence, shift: int) -> dict[str, int]:
        """Where the first answer stands in a window; on [CLS] if not all of it does."""
        first, end = example["answers"][0] if example["answers"] else (0, 0)
        span = pieces_of(offsets, first, end)
        whole = span and offsets[span[0]][0] <= first and end <= offsets[span[1]][1]
        places = [shift + place for place in span] if whole else (0, 0)
        return dict(zip(("start_positions", "end_positions"), places, strict=True))

    def logits(self, outputs: Any) -> torch.Tensor:
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)

    def decode(self, examples, rows, logits, config):
        """The best span of all windows, or none if [CLS] scores higher in every one of them."""
        best = [(-np.inf, 0, 0)] * len(examples)
        null = [np.inf] * len(examples)
        for row, values in zip(rows, logits, strict=True):
            number, offsets = row["example"], row["offsets"]
            null[number] = min(null[number], float(values[0].sum()))
            if not offsets:
                continue
            shift = len(row["input_ids"]) - len(offsets) - 1
            starts, ends = values[shift : shift + len(offsets)].T
            score, first, last = best_span(starts, ends)
            context, (start, stop) = examples[number]["context"], offsets[last]
            end = start + cut_particle(context[start:stop], config.particles)
            best[number] = max(best[number], (score, offsets[first][0], end))
        predictions = []
        for example, (score, start, end), nothing in zip(examples, best, null, strict=True):
            if config.no_answer and not score > nothing - config.null_threshold:
                start = end = 0
            found = {"text": example["context"][start:end], "start": start, "end": end}
            predictions.append({**found, "score": score - nothing})
        return predictions

    def metrics(self, examples, predictions):
        scores: dict[str, list[float]] = {"exact_match": [], "f1": []}
        for example, prediction in zip(examples, predictions, strict=True):
            pairs = [(prediction["text"], gold) for gold in texts_of(example)]
            scores["exact_match"].append(max(exact_match(*pair) for pair in pairs))
            scores["f1"].append(max(character_f1(*pair) for pair in pairs))
        found = {name: float(np.mean(values)) for name, values in scores.items()}
        answerable = np.array([bool(example["answers"]) for example in examples])
        if 0 < answerable.sum() < len(examples):  # SQuAD 2.0 shows both sides too
            f1 = np.array(scores["f1"])
            found["answerable_f1"] = float(f1[answerable].mean())
            found["unanswerable_accuracy"] = float(f1[~answerable].mean())
        return found

    def put_back(self, prediction, text, places):
        start, end = places[prediction["start"]], places[prediction["end"]]
        return {**prediction, "text": text[start:end], "start": start, "end": end}
