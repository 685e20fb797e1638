"""The data of a profile: the embedded files, or the public sets in the layout of the hub."""

import json
from collections.abc import Callable, Sequence

from helpers.examples import Examples, clean
from helpers.finetuning.entities import clean_entities, entities_of
from helpers.finetuning.reading import reading_examples
from helpers.finetuning.tasks import Task
from helpers.resources import data_path


def read_data(task: Task, name: str, split: str) -> Examples:
    """read_data(TASKS["entities"], "klue-ner", "train") -> the examples of a resource.

    split: "train" or "test"; where each has a file of its own the name says so: "nsmc-{split}".
    Raises CourseError as `data_path` and `Task.read` do.
    """
    path = data_path(name.format(split=split))
    if not path.is_dir():
        return task.read(path, split)
    table = path / f"{split}.json"
    if not table.exists():
        return task.read(path / f"{task.name}_{split}.tsv")
    return KLUE[task.name](json.loads(table.read_text(encoding="utf-8")))


def klue_similarity(rows: Sequence[dict]) -> Examples:
    """KLUE-STS: the real-valued label, from 0 to 5, is the score."""
    return Examples(
        {name: clean(row[name])[0] for name in ("sentence1", "sentence2")}
        | {"score": float(row["labels"]["real-label"])}
        for row in rows
    )


def klue_entities(rows: Sequence[dict]) -> Examples:
    """KLUE-NER: characters and their tags; the marked-up `sentence` is not read."""
    examples = []
    for number, row in enumerate(rows):
        text, entities = clean_entities("".join(row["tokens"]), entities_of(row["ner_tags"]))
        examples.append({"id": f"{number}", "text": text, "entities": entities})
    return Examples(example for example in examples if example["text"].strip())


def klue_reading(rows: Sequence[dict]) -> Examples:
    """KLUE-MRC: a question a row, its passage beside it; `answers` is a list of a column each."""
    paragraphs = []
    for row in rows:
        columns = row["answers"]["text"], row["answers"]["answer_start"]
        answers = [{"text": t, "answer_start": start} for t, start in zip(*columns, strict=True)]
        question = {**row, "id": row["guid"], "answers": answers}
        paragraphs.append({"context": row["context"], "qas": [question]})
    return reading_examples(paragraphs)


KLUE: dict[str, Callable[[Sequence[dict]], Examples]] = {
    "similarity": klue_similarity,
    "entities": klue_entities,
    "reading": klue_reading,
}
