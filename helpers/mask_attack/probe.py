"""Cloze probing (LAMA): ask a masked language model for facts and count how often it knows them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from helpers.architectures import max_tokens
from helpers.batches import encode, masked_log_probs
from helpers.mask_attack.masks import encode_prompts, pieces_of, put
from helpers.resources import DATA, check_pair
from helpers.text import check_text


def read_table(name: str) -> pd.DataFrame:
    """read_table("facts") -> data/mask_attack/facts.tsv as text; `answers` becomes a list."""
    path = DATA / "mask_attack" / f"{name}.tsv"
    table = pd.read_csv(path, sep="\t", quoting=3, dtype=str, keep_default_na=False)
    if "answers" in table:
        table["answers"] = table["answers"].str.split("|")
    return table


def cloze(facts: pd.DataFrame, templates: pd.DataFrame) -> pd.DataFrame:
    """Every fact in every template of its relation: adds columns `prompt` and `prior`."""
    numbered = templates.assign(number=templates.groupby("relation").cumcount() + 1)
    table = facts.merge(numbered, on="relation")
    pairs = zip(table["template"], table["subject"], strict=True)
    return table.assign(prompt=[text.replace("{subject}", subject) for text, subject in pairs])


def probe(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    answers: Sequence[Sequence[str]] | None = None,
    *,
    top_k: int = 5,
    glued: bool = True,
) -> pd.DataFrame:
    """Fill one mask a prompt: probe(model, tokenizer, ["프랑스의 수도는 [MASK]이다."], [["파리"]])

    Columns: `prompt`, `tokens` and `probabilities` (the `top_k` best), and with `answers` (the
    accepted ones of each prompt, the usual one first) `answer`, `pieces` (of the shortest accepted
    answer) and `rank`: the best rank of an accepted answer that is one piece, NaN if none is.
    Raises CourseError for a prompt that is empty, too long or has not exactly one mask, for an
    answer outside the vocabulary, and for a tokenizer of another model.
    Source: Petroni et al. 2019, "Language Models as Knowledge Bases?"
    """
    prompts = [check_text(prompt) for prompt in prompts]
    rows = encode_prompts(model, tokenizer, prompts, glued=glued)
    groups = [] if answers is None else list(answers)
    accepted = [[pieces_of(tokenizer, answer) for answer in group] for group in groups]
    found: list[dict] = [{} for _ in rows]
    for number, scores in masked_log_probs(model, tokenizer, rows):
        best = scores[0].topk(top_k)
        found[number] = {
            "tokens": tuple(tokenizer.convert_ids_to_tokens(best.indices.tolist())),
            "probabilities": tuple(best.values.exp().tolist()),
        }
        if answers is not None:
            ranks = [rank_of(scores[0], p[0]) for p in accepted[number] if len(p) == 1]
            found[number] |= {"rank": min(ranks, default=float("nan"))}
    frame = pd.DataFrame({"prompt": prompts}).join(pd.DataFrame(found))
    if answers is not None:
        frame.insert(1, "answer", [check_text(group[0]) for group in groups])
        frame.insert(2, "pieces", [min(map(len, group)) for group in accepted])
    return frame


def rank_of(scores: torch.Tensor, index: int) -> int:
    """rank_of(tensor([.1, .7, .2]), 2) -> 2; of equal scores the smaller index comes first."""
    better = (scores > scores[index]).sum() + (scores[:index] == scores[index]).sum()
    return int(better) + 1


def precision(frame: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """P@1, P@5 and MRR of the `scored` prompts (those with a rank), in all or by a column."""
    rank = frame["rank"]
    scores = pd.DataFrame({"P@1": rank <= 1, "P@5": rank <= 5, "MRR": 1 / rank})
    scores = scores.astype(float).where(rank.notna())
    table = scores.assign(prompts=1, scored=rank.notna())
    groups = table.groupby(frame[by] if by else lambda _: "전체", sort=False)
    return groups[["prompts", "scored"]].sum().join(groups[["P@1", "P@5", "MRR"]].mean())


def candidate_scores(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    candidates: Sequence[Sequence[str]],
    *,
    hide_later: bool = True,
) -> pd.DataFrame:
    """Score candidates of one or several pieces by pseudo-log-likelihood; one row a candidate.

    Columns: `number` of the prompt, `candidate`, `pieces`, `score` (sum of the log-probabilities of
    the candidate's pieces, each masked in turn, in nats) and `rank` within the prompt. With
    `hide_later` the pieces to the right are masked too: seen pieces of the same word betray
    each other, and long words would win.
    Sources: Salazar et al. 2020, "Masked Language Model Scoring"; Kauf & Ivanova 2023 for
    `hide_later`.
    """
    mask = tokenizer.mask_token_id
    rows, targets, owners, table = [], [], [], []
    for number, row in enumerate(encode_prompts(model, tokenizer, prompts)):
        for candidate in candidates[number]:
            candidate = check_text(candidate)
            pieces = pieces_of(tokenizer, candidate)
            for place, piece in enumerate(pieces):
                later = [mask] * (len(pieces) - place - 1) if hide_later else pieces[place + 1 :]
                rows.append(put(row, mask, [*pieces[:place], mask, *later]))
                targets.append(piece)
                owners.append(len(table))
            table.append({"number": number, "candidate": candidate, "pieces": len(pieces)})
    scores = [0.0] * len(table)
    for index, log_probs in masked_log_probs(model, tokenizer, rows):
        # the leftmost mask is the piece in question: those after it are only hidden
        scores[owners[index]] += log_probs[0, targets[index]].item()
    frame = pd.DataFrame(table).assign(score=scores)
    ranks = frame.groupby("number")["score"].rank(method="first", ascending=False)
    return frame.assign(rank=ranks.astype(int))


def fill_left_to_right(
    model: Any, tokenizer: Any, prompts: Sequence[str], masks: Sequence[int]
) -> pd.DataFrame:
    """Widen each prompt's mask to `masks[i]` pieces and fill them greedily from the left."""
    mask = tokenizer.mask_token_id
    prompts = [check_text(prompt) for prompt in prompts]
    rows = encode_prompts(model, tokenizer, prompts)
    places = [row.index(mask) for row in rows]
    rows = [put(row, mask, [mask] * n) for row, n in zip(rows, masks, strict=True)]
    while open_rows := [number for number, row in enumerate(rows) if mask in row]:
        for index, scores in masked_log_probs(model, tokenizer, [rows[n] for n in open_rows]):
            number = open_rows[index]
            rows[number][rows[number].index(mask)] = int(scores[0].argmax())
    filled = [
        tokenizer.decode(row[place : place + n], clean_up_tokenization_spaces=False)
        for row, place, n in zip(rows, places, masks, strict=True)
    ]
    return pd.DataFrame({"prompt": prompts, "masks": list(masks), "filled": filled})


def fill_masks(
    model: Any, tokenizer: Any, text: str, top_k: int = 5
) -> list[list[tuple[str, float]]]:
    """The `top_k` best (token, probability) of each mask of a text, likeliest first.

    All masks are filled at once, none sees another's answer. Raises CourseError as `encode` does.
    """
    check_pair(model, tokenizer)
    row = encode(tokenizer, text, max_length=max_tokens(model.config))
    ((_, scores),) = masked_log_probs(model, tokenizer, [row])
    best = scores.exp().topk(top_k)
    return [
        list(zip(tokenizer.convert_ids_to_tokens(indices), values, strict=True))
        for indices, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
