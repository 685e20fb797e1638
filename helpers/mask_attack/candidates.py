"""What may stand where a word stands: the candidates of every kind of attack."""

import operator
import random
import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import torch

from helpers import CourseError
from helpers.architectures import mask_scores, max_tokens
from helpers.batches import masked_log_probs
from helpers.mask_attack import masks
from helpers.text import analyzer

METHODS = ("bert-attack", "bae-r", "bae-r-stem", "bae-i", "random")
MAX_PIECES = 4  # of a word: longer ones have too many combinations to be worth the queries
SIGNS = ".,!?~…"
PARTICLES = {particle: pair for pair in ("이가", "은는", "을를", "과와") for particle in pair}


def document_words(lines: Iterable[str]) -> list[str]:
    """document_words(["물은 액체이다. (물)"]) -> ["물은", "액체이다"]: Korean words, sorted."""
    words = {word.rstrip(SIGNS) for line in lines for word in line.split()}
    return sorted(word for word in words if re.fullmatch("[가-힣]+", word))


def suggestions(
    model: Any,
    tokenizer: Any,
    now: list[list[str]],
    place: int,
    method: str,
    top_k: int,
    vocabulary: Sequence[str],
    rng: random.Random,
) -> list[list[str]]:
    """What may stand at a place: lists of one word, or of two for an insertion; best first.

    None where the text would become longer than the model reads. The signs at the word's end stay,
    except that 'bert-attack' keeps them as pieces of the word.
    """
    word = now[place][0]
    body = word.rstrip(SIGNS)
    tail = word[len(body) :]
    if method == "random":
        return [[other + tail] for other in rng.sample(vocabulary, min(top_k, len(vocabulary)))]
    if method == "bert-attack":
        return [[other] for other in recombined(model, tokenizer, now, place, top_k)]
    mask = tokenizer.mask_token
    if method == "bae-i":
        pieces = filled(model, tokenizer, now, place, [word, mask], 4 * top_k)
        return [[word, piece] for piece in pieces if piece != word][:top_k]
    _, end, particle = cut_stem(body) if method == "bae-r-stem" else (body, "", False)
    pieces = filled(model, tokenizer, now, place, [mask + end + tail], 4 * top_k)
    join_end = with_particle if particle else operator.add
    words = [join_end(piece, end) + tail for piece in pieces]
    return [[other] for other in dict.fromkeys(words) if other != word][:top_k]


def filled(
    model: Any, tokenizer: Any, now: list[list[str]], place: int, option: list[str], top_k: int
) -> list[str]:
    """The best `top_k` pieces for the one mask of `option` at a place, those of letters only."""
    try:
        row = masks.encode(tokenizer, join(now, place, option), max_length=max_tokens(model.config))
    except CourseError:  # with the mask the text has become too long
        return []
    ((_, scores),) = masked_log_probs(model, tokenizer, [row])
    pieces = tokenizer.convert_ids_to_tokens(scores[0].topk(top_k).indices.tolist())
    return [piece for piece in pieces if piece.isalpha()]


def cut_stem(word: str) -> tuple[str, str, bool]:
    """A word's stem, its end ("" if it has none or is nothing else), and is that one particle.

    Examples: "배우가" -> ("배우", "가", True), "좋아서" -> ("좋", "아서", False). The end is all
    particles (Kiwi's J), endings (E) and the copula (VCP); a syllable that it shares with the stem
    ("했다") belongs to the stem.
    """
    tokens = analyzer().tokenize(word)
    count = len(tokens)
    while count and (tokens[count - 1].tag[0] in "JE" or tokens[count - 1].tag == "VCP"):
        count -= 1
    if not count or count == len(tokens):
        return word, "", False
    end = tokens[count - 1].start + tokens[count - 1].len
    return word[:end], word[end:], count == len(tokens) - 1 and tokens[count].tag[0] == "J"


def with_particle(noun: str, particle: str) -> str:
    """with_particle("책", "가") -> "책이": of 이/가, 은/는, 을/를, 과/와 the one that fits."""
    if particle in PARTICLES and "가" <= noun[-1] <= "힣":
        ends_in_vowel = (ord(noun[-1]) - ord("가")) % 28 == 0
        particle = PARTICLES[particle][ends_in_vowel]
    return noun + particle


@torch.inference_mode()
def recombined(
    model: Any, tokenizer: Any, now: list[list[str]], place: int, top_k: int
) -> list[str]:
    """BERT-Attack's candidates: the pieces' best replacements in the *unmasked* text.

    A piece is replaced by one of its own shape (## or not), so that the result is one word, and
    signs stay as they are; the combinations with the highest summed log-probability come first.
    """
    words = [word for held in now for word in held]
    index = sum(len(held) for held in now[:place])
    encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    spots = [i for i, owner in enumerate(encoded.word_ids()) if owner == index]
    if encoded["input_ids"].shape[1] > max_tokens(model.config):
        return []
    pieces = tokenizer.convert_ids_to_tokens(encoded["input_ids"][0, spots].tolist())
    open_spots = [piece.removeprefix("##").isalpha() for piece in pieces]
    if not any(open_spots) or sum(open_spots) > MAX_PIECES or tokenizer.unk_token in pieces:
        return []
    hidden = model.base_model(**encoded.to(model.device)).last_hidden_state[0, spots]
    scores = mask_scores(model, hidden).float().log_softmax(-1).cpu()
    choices = []
    width = top_k if sum(open_spots) == 1 else max(3, round(top_k ** (1 / sum(open_spots))) + 1)
    for row, piece, is_open in zip(scores, pieces, open_spots, strict=True):
        best = row.topk(8 * top_k)
        others = tokenizer.convert_ids_to_tokens(best.indices.tolist())
        same = [
            (other, value)
            for other, value in zip(others, best.values.tolist(), strict=True)
            if other.startswith("##") == piece.startswith("##")
            and other.removeprefix("##").isalpha()
        ]
        choices.append(same[: width + 1] if is_open else [(piece, 0.0)])
    combined = sorted(product(*choices), key=lambda c: -sum(value for _, value in c))
    spelled = ["".join(piece.removeprefix("##") for piece, _ in c) for c in combined]
    return [word for word in dict.fromkeys(spelled) if word != words[index]][:top_k]


def join(now: list[list[str]], place: int, option: list[str]) -> str:
    """join([["정말"], ["좋다"]], 1, ["싫다"]) -> "정말 싫다"."""
    return " ".join(w for i, held in enumerate(now) for w in (option if i == place else held))
