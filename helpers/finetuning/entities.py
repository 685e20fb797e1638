"""Named entities: character tags to WordPiece labels and back without loss, and entity F1."""

import os
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from transformers import BertForTokenClassification

from helpers import CourseError
from helpers.examples import ZERO_WIDTH, Examples, clean, read_text
from helpers.finetuning.tasks import Settings, Task, label_options

Entity = tuple[int, int, str]  # first character, character after the last, type
TAG = re.compile(r"O|[BI]-[^\s:]+")


def tags_of(length: int, entities: Sequence[Entity]) -> list[str]:
    """tags_of(5, [(1, 3, "PS")]) -> ["O", "B-PS", "I-PS", "O", "O"]: one IOB2 tag a character."""
    tags = ["O"] * length
    for first, end, kind in entities:
        tags[first:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - first - 1)]
    return tags


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """entities_of(["O", "B-PS", "I-PS", "B-PS"]) -> [(1, 3, "PS"), (3, 4, "PS")].

    An `I-` that continues nothing of its type begins an entity.
    """
    entities: list[Entity] = []
    for place, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and entities and entities[-1][1:] == (place, kind):
            entities[-1] = (entities[-1][0], place + 1, kind)
        elif prefix != "O":
            entities.append((place, place + 1, kind))
    return entities


def inside(tag: str) -> str:
    """inside("B-PS") -> "I-PS", inside("O") -> "O": the tag of a next character that goes on."""
    return tag if tag == "O" else f"I{tag[1:]}"


def piece_label(tags: Sequence[str]) -> str:
    """piece_label(["B-PS", "I-PS", "O"]) -> "B-PS:2 O": the runs of a piece's characters.

    In "이순신은" a WordPiece may hold the end of a name and its particle, so a piece needs more
    than one tag. Every run but the last says its length; the last one takes the rest, so that
    pieces of different lengths share a label.
    """
    runs: list[list] = []
    for tag in tags:
        if runs and tag == inside(runs[-1][0]):
            runs[-1][1] += 1
        else:
            runs.append([tag, 1])
    return " ".join([*(f"{tag}:{size}" for tag, size in runs[:-1]), *(run[0] for run in runs[-1:])])


def label_tags(label: str, length: int) -> list[str]:
    """label_tags("B-PS:2 O", 4) -> ["B-PS", "I-PS", "O", "O"]: `piece_label` undone."""
    tags: list[str] = []
    for run in label.split(" "):
        tag, _, size = run.partition(":")
        tags += [tag, *[inside(tag)] * (int(size or length - len(tags)) - 1)]
    return tags[:length]


def piece_labels(tags: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[str]:
    """The label of every piece; offsets: its characters, half-open."""
    return [piece_label(tags[first:end]) for first, end in offsets]


def character_tags(
    labels: Sequence[str], offsets: Sequence[tuple[int, int]], length: int
) -> list[str]:
    """`piece_labels` undone: the tags of all characters.

    A character in no piece (a blank) belongs to an entity if the character before and the one after
    do. What `entities_of` finds in these tags is what it finds in the old ones, if no entity begins
    or ends with such a character.
    """
    tags = [""] * length
    for label, (first, end) in zip(labels, offsets, strict=True):
        tags[first:end] = label_tags(label, end - first)
    after = "O"
    for place in reversed(range(length)):
        if not tags[place]:
            before = next((tag for tag in reversed(tags[:place]) if tag), "O")
            tags[place] = after if after == inside(before) else "O"
        after = tags[place]
    return tags


def read_entities(path: str | os.PathLike) -> Examples:
    """Read KLUE-NER's format: [{"id", "text", "entities": [(first, end, type), ...]}, ...].

    A line is a character, a tab and its tag; a blank line ends a sentence, `##` begins a comment,
    whose marked-up sentence is not read: there `<` and `>` may as well belong to the text. A blank
    in a tag is dropped, a missing character is a blank, blanks at an entity's edge leave it.
    Raises CourseError for a line without a tag, an unknown tag and a file without a sentence.
    """
    examples, chars, tags, name = [], [], [], ""
    for number, line in enumerate([*read_text(path).split("\n"), ""], start=1):
        if line.startswith("##"):
            name = line[2:].partition("\t")[0].strip() if "\t" in line else name
        elif "\t" in line:
            char, _, tag = line.rpartition("\t")
            tag = re.sub(r"\s", "", tag)
            if not TAG.fullmatch(tag):
                raise CourseError(
                    f"'{path}'의 {number}번째 줄: 태그 {tag!r}을(를) 알 수 없습니다. O, B-종류, "
                    "I-종류 가운데 하나를 쓰십시오."
                )
            char = char or " "
            chars.append(char)
            tags += [tag, *[inside(tag)] * (len(char) - 1)]
        elif line.strip():
            raise CourseError(
                f"'{path}'의 {number}번째 줄에 태그가 없습니다. 글자와 태그를 탭으로 나누십시오."
            )
        elif chars:
            text, entities = clean_entities("".join(chars), entities_of(tags))
            if text.strip():
                examples.append({"id": name or f"{number}", "text": text, "entities": entities})
            chars, tags, name = [], [], ""
    if not examples:
        raise CourseError(
            f"'{path}'에 문장이 없습니다. 글자와 태그를 한 줄에 하나씩(KLUE-NER 형식) 쓰십시오."
        )
    return Examples(examples)


def clean_entities(text: str, entities: Sequence[Entity]) -> tuple[str, list[Entity]]:
    """Clean a text as `clean` does and move its entities along, without blanks at their edges."""
    cleaned, places = clean(text)
    moved: list[Entity] = []
    for first, end, kind in entities:
        solid = [i for i in range(first, end) if not (text[i].isspace() or text[i] in ZERO_WIDTH)]
        if solid:
            done = moved[-1][1] if moved else 0  # two in one syllable: the first has it
            first = max(bisect_right(places, solid[0]) - 1, done)
            end = bisect_right(places, solid[-1])
            moved += [(first, end, kind)] * (first < end)
    return cleaned, moved


class Entities(Task):
    """Files: see `read_entities`. An example's `entities` are what is predicted."""

    name = "entities"
    columns = ("text",)
    head = BertForTokenClassification
    score = "f1"
    settings = Settings(epochs=8)

    def read(self, path: str | os.PathLike, split: str | None = None) -> Examples:
        return read_entities(path)

    def head_options(self, tokenizer: Any, examples: Sequence[dict]) -> dict:
        texts = [example["text"] for example in examples]
        encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        found = {"O"}
        for example, offsets in zip(examples, encoded["offset_mapping"], strict=True):
            tags = tags_of(len(example["text"]), example["entities"])
            found.update(piece_labels(tags, offsets))
        return label_options(found)

    def encode(self, tokenizer, examples, config, max_length, labels):
        """A long sentence becomes several rows that overlap by a quarter."""
        encoded = tokenizer(
            [example["text"] for example in examples],
            truncation=True,
            max_length=max_length,
            stride=(max_length - 2) // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        rows = []
        for row, number in enumerate(encoded["overflow_to_sample_mapping"]):
            offsets = encoded["offset_mapping"][row][1:-1]  # without [CLS] and [SEP]
            rows.append({name: encoded[name][row] for name in ("input_ids", "token_type_ids")})
            rows[-1] |= {"offsets": offsets, "example": number}
            if labels:
                tags = tags_of(len(examples[number]["text"]), examples[number]["entities"])
                ids = [config.label2id[label] for label in piece_labels(tags, offsets)]
                rows[-1]["labels"] = [-100, *ids, -100]
        return rows

    def decode(self, examples, rows, logits, config):
        """Where rows overlap, a piece counts where it is farther from the edge."""
        pieces: list[dict] = [{} for _ in examples]
        for row, values in zip(rows, logits, strict=True):
            offsets = row["offsets"]
            found = pieces[row["example"]]
            for place, span in enumerate(offsets):
                margin = min(place, len(offsets) - 1 - place)
                label = int(values[place + 1].argmax())
                found[span] = max(found.get(span, (-1, 0)), (margin, label))
        predictions = []
        for example, found in zip(examples, pieces, strict=True):
            labels = [config.id2label[label] for _, label in found.values()]
            tags = character_tags(labels, list(found), len(example["text"]))
            predictions.append(entities_of(tags))
        return predictions

    def metrics(self, examples, predictions):
        lengths = [len(example["text"]) for example in examples]
        gold = [example["entities"] for example in examples]
        return entity_f1(*(list(map(tags_of, lengths, side)) for side in (gold, predictions)))

    def put_back(self, prediction, text, places):
        return [(places[first], places[end], kind) for first, end, kind in prediction]


def entity_f1(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> dict[str, float]:
    """F1 of whole entities, type and both borders right: over all, and a mean over types.

    gold, predicted: IOB2 tags of the characters of each sentence. `O` is no type and never counts.
    The mean over types is KLUE's measure: https://github.com/KLUE-benchmark/KLUE-baseline
    """
    options = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    if set().union(*gold) <= {"O"}:  # seqeval would stop at a mean of nothing
        return {"f1": 0.0, "macro_f1": 0.0}
    means = {"f1": "micro", "macro_f1": "macro"}
    return {k: float(f1_score(gold, predicted, average=v, **options)) for k, v in means.items()}
