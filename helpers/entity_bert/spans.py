"""From character spans to tokens: KLUE-RE files, markers in the text, entity ids, a window."""

import json
import os
import unicodedata
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

from helpers import CourseError
from helpers.text import check_text, quoted, read_text

nfc = partial(unicodedata.normalize, "NFC")
ROLES = ("subject_entity", "object_entity")
TYPES = {  # KLUE's entity types and the word that a typed punctuation marker writes for them
    "PER": "사람",
    "ORG": "단체",
    "LOC": "장소",
    "DAT": "날짜",
    "POH": "이름",
    "NOH": "숫자",
}


@dataclass(frozen=True)
class Variant:
    """One way to tell BERT what the entities are: three switches.

    markers: what is written around an entity: None, 'entity' ([ENT], the same for both), 'tags'
    ([SUB], [OBJ]), 'typed_tags' ([SUB:PER]) or 'punctuation' (@*사람*이순신@ and #+날짜+1545년#).
    ids: the rows of the entity embedding: None, 'entity' (0/1), 'role' (0/1/2), 'typed' (0 to 12).
    pooling: which vectors of the last layer the classifier reads: [CLS], the mean of all tokens
    ('mean'), the entities' first tokens ('starts', the opening markers where there are some), the
    means over their tokens ('means').
    """

    markers: str | None
    ids: str | None
    pooling: str


VARIANTS = {
    "plain": Variant(None, None, "cls"),
    "lecture": Variant("entity", "entity", "cls"),
    "tags": Variant("tags", None, "cls"),
    "entity_pooling": Variant(None, None, "cls+means"),
    "entity_embedding": Variant(None, "role", "cls+means"),
    "combined": Variant("punctuation", "role", "cls+means"),
    "plain_mean": Variant(None, None, "mean"),
    "tags_mean": Variant("tags", None, "mean"),
    "lecture_means": Variant("entity", "entity", "cls+means"),
    "punctuation_means": Variant("punctuation", None, "cls+means"),
    "typed_tags": Variant("typed_tags", None, "cls"),
    "typed_punctuation": Variant("punctuation", None, "cls"),
    "entity_embedding_cls": Variant(None, "role", "cls"),
    "entity_embedding_starts": Variant(None, "role", "cls+starts"),
    "typed_entity_embedding": Variant(None, "typed", "cls+means"),
    "tags_and_entity_embedding": Variant("tags", "role", "cls+means"),
    "rbert": Variant("tags", None, "cls+means"),
    "entity_start": Variant("tags", None, "starts"),
}
MAIN = tuple(VARIANTS)[:6]  # a question each; the others vary one switch of them
ROWS = {None: 0, "entity": 2, "role": 3, "typed": 1 + 2 * len(TYPES)}
SPECIAL_TOKENS = {
    "entity": ["[ENT]", "[/ENT]"],
    "tags": ["[SUB]", "[/SUB]", "[OBJ]", "[/OBJ]"],
    "typed_tags": [f"[{s}{r}:{t}]" for r in ("SUB", "OBJ") for t in TYPES for s in ("", "/")],
}
MEANINGS = {"ENT": "이름", "SUB": "주어", "OBJ": "목적어", **TYPES}


def find_variant(name: str) -> Variant:
    """The variant of this name. Raises CourseError if there is none."""
    if name not in VARIANTS:
        raise CourseError(
            f"{name!r}(이)라는 방법(variant)은 없습니다. "
            f"이 가운데에서 고르십시오: {', '.join(VARIANTS)}."
        )
    return VARIANTS[name]


def add_special_tokens(tokenizer: Any, variant: str) -> int:
    """Make the variant's tags special tokens of the tokenizer; give how many are new.

    A model then needs as many rows more: `model.resize_token_embeddings(len(tokenizer))`.
    """
    tags = SPECIAL_TOKENS.get(find_variant(variant).markers, [])
    return tokenizer.add_special_tokens({"additional_special_tokens": tags}) if tags else 0


def meaning(tag: str) -> str:
    """meaning("[/SUB:PER]") -> "주어 사람 끝": words that say what a tag says."""
    words = [MEANINGS[name] for name in tag.strip("[/]").split(":")]
    return " ".join([*words, "끝"] if tag.startswith("[/") else words)


def read_examples(path: str | os.PathLike) -> list[dict]:
    """Read a file in KLUE-RE's format: a JSON list of sentences with two entities and a label.

    Positions count Unicode characters, `end_idx` is the entity's last one.
    Raises CourseError, naming the example, for what is missing or does not spell its word.
    Source: Park et al. 2021, "KLUE", https://arxiv.org/abs/2105.09680
    """
    try:
        examples = json.loads(read_text(path))
    except ValueError as error:
        raise CourseError(
            f"'{path}'은(는) JSON 파일이 아닙니다. KLUE-RE 형식의 파일을 주십시오."
        ) from error
    if not isinstance(examples, list) or not examples:
        raise CourseError(f"'{path}'에 예가 없습니다. KLUE-RE 형식은 예의 리스트로 된 JSON입니다.")
    for number, example in enumerate(examples, start=1):
        try:
            check_example(example)
            if not isinstance(example["label"], str):
                raise TypeError("label")
        except CourseError as error:
            raise CourseError(f"'{path}'의 {number}번째 예: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CourseError(
                f"'{path}'의 {number}번째 예가 KLUE-RE 형식이 아닙니다({error}). sentence, label, "
                "그리고 word, start_idx, end_idx가 있는 subject_entity와 object_entity가 "
                "필요합니다."
            ) from error
    return examples


def check_example(example: dict) -> None:
    """Raise CourseError unless both spans lie in the sentence and spell their words."""
    sentence = example["sentence"]
    for role in ROLES:
        entity = example[role]
        word, start, end = entity["word"], int(entity["start_idx"]), int(entity["end_idx"])
        found = sentence[start : end + 1] if 0 <= start <= end < len(sentence) else None
        if found is None or not word.strip() or nfc(found) != nfc(word):
            raise CourseError(
                f"{role}의 자리 {start}~{end}에 {quoted(word)}이(가) 없습니다. 자리는 0부터 세는 "
                "글자(유니코드 문자)의 번호이고 end_idx는 마지막 글자입니다."
            )


def make_example(
    sentence: str,
    subject: str | tuple[int, int],
    object: str | tuple[int, int],
    subject_type: str | None = None,
    object_type: str | None = None,
) -> dict:
    """make_example("이순신은 무신이다.", "이순신", (5, 6)) -> an example without a label.

    An entity is its word, or (first, last) character where the word stands more than once.
    Raises CourseError for a word that is not there, or not once.
    """
    sentence = check_text(sentence)
    example: dict[str, Any] = {"sentence": sentence}
    given = (subject, subject_type), (object, object_type)
    for role, (entity, kind) in zip(ROLES, given, strict=True):
        places = isinstance(entity, tuple | list) and len(entity) == 2
        if places and all(isinstance(place, Integral) for place in entity):
            start, end = entity
        else:
            start, end = find_word(sentence, check_text(entity))
        word = sentence[start : end + 1]
        example[role] = {"word": word, "start_idx": start, "end_idx": end, "type": kind}
    check_example(example)
    return example


def find_word(sentence: str, word: str) -> tuple[int, int]:
    """find_word("이순신은", "이순신") -> (0, 2); CourseError unless it is there exactly once."""
    starts = [i for i in range(len(sentence)) if word and sentence.startswith(word, i)]
    if len(starts) == 1:
        return starts[0], starts[0] + len(word) - 1
    if starts:
        few = ", ".join(map(str, starts[:5])) + (", …" if len(starts) > 5 else "")
        problem = f"여러 자리({few})에 있습니다. (첫 글자, 마지막 글자)의 번호로 고르십시오"
    elif word and nfc(word) in nfc(sentence):  # they look alike on the screen
        problem = (
            "없습니다. 한쪽의 글자가 자모로 나뉘어 있습니다. "
            "둘 다 unicodedata.normalize('NFC', …)로 합치십시오"
        )
    else:
        problem = "없습니다. 문장에 쓴 그대로 주십시오"
    raise CourseError(f"{quoted(word)}이(가) 문장에 {problem}.")


def compose(sentence: str, spans: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """Compose Hangul spelled in single letters (NFD, as macOS writes it) and move the spans along.

    Spans are half-open here. One that begins or ends inside a syllable takes in the whole syllable.
    """
    composed = nfc(sentence)
    if composed == sentence:
        return sentence, spans

    def border(place: int, step: int) -> int:
        while nfc(sentence[:place]) + nfc(sentence[place:]) != composed:
            place += step
        return len(nfc(sentence[:place]))

    return composed, [(border(start, -1), border(end, 1)) for start, end in spans]


def marker_texts(role: int, kind: str | None, markers: str | None) -> tuple[str, str]:
    """marker_texts(0, "PER", "punctuation") -> ("@*사람*", "@"): opening and closing marker."""
    if markers is None:
        return "", ""
    if markers == "punctuation":
        # Zhou & Chen 2021 close the object's type in "^", which small vocabularies often lack.
        mark, quote = ("@*", "#+")[role]
        return f"{mark}{quote}{TYPES[check_type(kind)]}{quote}", mark
    name = "ENT" if markers == "entity" else ("SUB", "OBJ")[role]
    if markers == "typed_tags":
        name += f":{check_type(kind)}"
    return f"[{name}]", f"[/{name}]"


def check_type(kind: str | None) -> str:
    if kind not in TYPES:
        raise CourseError(
            f"개체의 종류(type)가 {kind!r}입니다. 이 방법에는 {', '.join(TYPES)} 가운데 하나가 "
            "필요합니다."
        )
    return kind


def mark(
    text: str, spans: list[tuple[int, int]], markers: list[tuple[str, str]]
) -> tuple[str, list[tuple[int, int]], list[tuple[int, int]]]:
    """Write markers around spans that may overlap: (text, spans without, spans with their markers).

    "이순신은", [(0, 3), ...], [("[SUB]", "[/SUB]"), ...] -> "[SUB]이순신[/SUB]은", [(5, 8), ...],
    [(0, 14), ...]. What opens last closes first; of two equal spans the first is the outer one.
    """
    cuts = []  # (place, order at the place, span, is it the closing marker, its text)
    for number, ((start, end), (opening, closing)) in enumerate(zip(spans, markers, strict=True)):
        cuts.append((start, (1, -end, number), number, 0, opening))
        cuts.append((end, (0, -start, -number), number, 1, closing))
    parts, length, done = [], 0, 0
    inner, outer = ([[0, 0] for _ in spans] for _ in range(2))
    for place, _, number, closes, marker in sorted(cuts):
        parts += [text[done:place], marker]
        length += place - done
        (inner if closes else outer)[number][closes] = length
        length += len(marker)
        (outer if closes else inner)[number][closes] = length
        done = place
    return "".join([*parts, text[done:]]), [*map(tuple, inner)], [*map(tuple, outer)]


def covered(offsets: list[tuple[int, int]], span: tuple[int, int]) -> tuple[int, int]:
    """covered([(0, 1), (1, 3), (4, 6)], (0, 2)) -> (0, 2): tokens (half-open) that share a letter.

    Raises CourseError where no token does: the span is a space, or a letter the tokenizer drops.
    """
    places = [i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]
    if not places:
        raise CourseError("개체가 어떤 토큰에도 들지 않습니다. 공백이 아닌 글자를 고르십시오.")
    return places[0], places[-1] + 1


def window(length: int, first: int, last: int, size: int) -> tuple[int, int]:
    """window(10, 7, 9, 5) -> (5, 10): `size` tokens around tokens `first` to `last` (half-open).

    The room left over goes to both sides alike, and past an end of the sentence to the other side.
    Raises CourseError if the entities cannot stand in one window.
    """
    if last - first > size:
        raise CourseError(
            f"두 개체와 그 사이가 {last - first}토큰이어서 {size}토큰 안에 함께 들어가지 않습니다. "
            "max_length를 늘리거나 문장을 줄이십시오."
        )
    start = first - (size - (last - first)) // 2
    start = max(0, min(start, length - size))
    return start, min(length, start + size)


def entity_ids(
    length: int, spans: list[tuple[int, int]], kinds: list[str | None], ids: str | None
) -> list[int]:
    """entity_ids(4, [(0, 2), (3, 4)], ["PER", "DAT"], "role") -> [1, 1, 0, 2]; `ids` as in Variant.

    Where the entities share tokens the shorter one wins, so that a nested entity stays visible.
    """
    rows = [0] * length
    for role, (start, end) in sorted(enumerate(spans), key=lambda item: item[1][0] - item[1][1]):
        row = {None: 0, "entity": 1}.get(ids, 1 + role)
        if ids == "typed":
            row = 1 + role * len(TYPES) + list(TYPES).index(check_type(kinds[role]))
        rows[start:end] = [row] * (end - start)
    return rows


def encode(tokenizer: Any, example: dict, variant: Variant, max_length: int = 256) -> dict:
    """Make a model's input of one example.

    Returns lists: input_ids and entity_ids [length]; starts [2], the tokens where subject and
    object begin (their opening markers, if there are some); spans [2][2], their tokens, half-open,
    without markers. Tokens are those that share a letter with the span, so the particle in "##신은"
    is marked along. Longer sentences are cut to a window around both entities.
    Raises CourseError for a span that does not fit the sentence, its tokens or the window.
    """
    check_example(example)
    entities = [example[role] for role in ROLES]
    kinds = [entity.get("type") for entity in entities]
    spans = [(int(entity["start_idx"]), int(entity["end_idx"]) + 1) for entity in entities]
    text, spans = compose(example["sentence"], spans)
    markers = [marker_texts(role, kind, variant.markers) for role, kind in enumerate(kinds)]
    text, inner, outer = mark(text, spans, markers)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    tags = [tag for (a, d), (b, c) in zip(outer, inner, strict=True) for tag in ((a, b), (c, d))]
    inner = [covered(offsets, span) for span in inner]
    outer = [covered(offsets, span) for span in outer]
    first, last = min(start for start, _ in outer), max(end for _, end in outer)
    start, stop = window(len(ids), first, last, max_length - 2)
    shift = 1 - start  # [CLS] goes before the window
    rows = entity_ids(len(ids), inner, kinds, variant.ids)
    for place, (begin, end) in enumerate(offsets):  # a nested entity's tags lie inside the other
        if any(opens <= begin and end <= closes for opens, closes in tags):
            rows[place] = 0
    return {
        "input_ids": [tokenizer.cls_token_id, *ids[start:stop], tokenizer.sep_token_id],
        "entity_ids": [0, *rows[start:stop], 0],
        "starts": [first + shift for first, _ in outer],
        "spans": [[first + shift, last + shift] for first, last in inner],
    }
