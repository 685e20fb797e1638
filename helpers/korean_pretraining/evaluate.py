"""How well does a masked language model fill its masks? The same masks for the same seed."""

import math
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from helpers import CourseError
from helpers.architectures import fit_length
from helpers.batches import masked_log_probs
from helpers.korean_pretraining.corpus import Files, read_documents
from helpers.korean_pretraining.stages import pad_batch


@dataclass(frozen=True)
class MaskedAccuracy:
    """Averages over all masked pieces; `loss` in nats, `bits_per_character` for any tokenizer.

    `guesses`: how many different pieces came first; 1 is the same answer to every mask.
    """

    loss: float
    top1: float
    top5: float
    bits_per_character: float
    guesses: int
    masked_tokens: int
    sentences: int


def masked_accuracy(
    model,
    tokenizer,
    files: Files,
    seed: int = 0,
    *,
    mlm_probability: float = 0.15,
    max_length: int = 128,
    max_sentences: int | None = None,
    show_progress: bool = False,
) -> MaskedAccuracy:
    """Replace 15 % of the pieces of each single sentence by `[MASK]` and let the model fill them.

    At least one piece a sentence is masked, never `[UNK]`. `max_sentences` takes that many, drawn
    with `seed`. `model` is any BERT with a masked-LM head. Bits per character divide the loss by
    the characters hidden, so that models with short and with long pieces can be compared.
    Raises `CourseError` for an unreadable file, for text without a piece to mask, and for a size or
    share out of range.
    """
    if not 0 < mlm_probability <= 1:
        raise CourseError("mlm_probability는 비율입니다. 0보다 크고 1 이하인 수를 주십시오.")
    for name, value, least in (("max_length", max_length, 3), ("max_sentences", max_sentences, 1)):
        if value is not None and value < least:
            raise CourseError(f"{name}은(는) 너무 작습니다. {least} 이상의 수를 주십시오.")
    sentences = [sentence for document in read_documents(files) for sentence in document]
    if max_sentences is not None and max_sentences < len(sentences):
        chosen = random.Random(seed).sample(range(len(sentences)), max_sentences)
        sentences = [sentences[i] for i in sorted(chosen)]
    length = fit_length(max_length, model.config)
    examples = draw_masks(tokenizer, sentences, seed, mlm_probability, length)
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    characters = [len(piece.removeprefix("##")) for piece in pieces]
    total: Counter[str] = Counter()
    guesses: set[int] = set()
    answers = masked_log_probs(model, tokenizer, [row for row, _ in examples])
    bar = tqdm(answers, total=len(examples), disable=not show_progress, leave=False)
    for number, log_probs in bar:
        labels = torch.tensor(examples[number][1])
        # Not by counting better scores: equal ones, or NaN, would make every guess the best.
        best = log_probs.topk(5).indices
        guesses.update(best[:, 0].tolist())
        hits = best == labels[:, None]
        total.update(
            nll=-log_probs.gather(1, labels[:, None]).sum().item(),
            top1=hits[:, 0].sum().item(),
            top5=hits.sum().item(),
            tokens=len(labels),
            characters=sum(characters[label] for label in labels.tolist()),
        )
    return MaskedAccuracy(
        loss=total["nll"] / total["tokens"],
        top1=total["top1"] / total["tokens"],
        top5=total["top5"] / total["tokens"],
        bits_per_character=total["nll"] / math.log(2) / total["characters"],
        guesses=len(guesses),
        masked_tokens=total["tokens"],
        sentences=len(examples),
    )


def draw_masks(
    tokenizer, sentences: list[str], seed: int, share: float, max_length: int
) -> list[tuple[list[int], list[int]]]:
    """(ids with masks, the ids masked) of each sentence; CourseError if there is none."""
    # The empty sentence, which has nothing to mask, keeps the tokenizer from failing on no text.
    encoded = tokenizer([*sentences, ""], truncation=True, max_length=max_length)
    examples = []
    skip = set(tokenizer.all_special_ids)
    for i, ids in enumerate(encoded["input_ids"]):
        # A mask that stands in the text itself is not asked for.
        ids = [tokenizer.unk_token_id if n == tokenizer.mask_token_id else n for n in ids]
        places = [place for place, token in enumerate(ids) if token not in skip]
        if places:
            count = max(1, round(share * len(places)))
            chosen = sorted(random.Random(f"{seed}/{i}").sample(places, count))
            masked = [tokenizer.mask_token_id if n in chosen else id for n, id in enumerate(ids)]
            examples.append((masked, [ids[n] for n in chosen]))
    if not examples:
        raise CourseError(
            "가릴 수 있는 글자가 없습니다. 토크나이저와 텍스트 파일이 맞는지 확인해 주십시오."
        )
    return examples


@torch.inference_mode()
def next_sentence_accuracy(model, pairs: Iterable[dict], pad_token_id: int) -> float:
    """Say in what share of `pairs`, rows of `build_sentence_pairs`, a model names the right label.

    `model` is any BERT with a next-sentence head. Chance is the share of the more frequent label.
    Raises `CourseError` for no pairs and for a model without that head.
    """
    if not hasattr(getattr(model, "cls", None), "seq_relationship"):
        raise CourseError(
            "이 모델에는 다음 문장을 맞히는 머리가 없습니다. BertForPreTraining으로 불러와 "
            "주십시오."
        )
    rows = sorted(pairs, key=lambda row: len(row["input_ids"]))
    if not rows:
        raise CourseError("문장 쌍이 하나도 없습니다. build_sentence_pairs의 결과를 주십시오.")
    was_training = model.training
    model.eval()
    right = 0
    for first in range(0, len(rows), 64):
        batch = pad_batch(rows[first : first + 64], pad_token_id)
        labels = batch.pop("next_sentence_label")
        outputs = model.base_model(**{k: v.to(model.device) for k, v in batch.items()})
        scores = model.cls.seq_relationship(outputs.pooler_output).float().cpu()
        right += (scores.argmax(1) == labels).sum().item()
    model.train(was_training)
    return right / len(rows)
