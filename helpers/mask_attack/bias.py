"""Categorical bias score: does an attribute change which group a masked language model expects?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.batches import encode, masked_log_probs
from helpers.mask_attack.masks import pieces_of
from helpers.resources import check_pair
from helpers.text import check_text, quoted

ATTRIBUTE = "{attribute} "
DRAWS = 2_000  # of the bootstrap


@dataclass(frozen=True)
class Bias:
    """ratios: natural log of "with the attribute" over the prior, [templates, attributes, groups].

    score: mean over templates and attributes of the variance over groups; 0 without any bias.
    low, high: 95 % bootstrap interval of the score over the templates, NaN for a single one. With
    few templates it is rather too narrow.
    matrix: attributes (rows) x groups, mean over templates, of base 2.
    """

    ratios: np.ndarray
    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    low: float
    high: float

    @property
    def score(self) -> float:
        return float(by_template(self.ratios).mean())

    @property
    def matrix(self) -> pd.DataFrame:
        return pd.DataFrame(
            self.ratios.mean(0) / np.log(2), index=list(self.attributes), columns=list(self.groups)
        )


def by_template(ratios: np.ndarray) -> np.ndarray:
    """The score of each template alone: [templates, attributes, groups] -> [templates]."""
    return ratios.var(axis=2).mean(axis=1)


def categorical_bias(
    model: Any,
    tokenizer: Any,
    groups: Sequence[str],
    attributes: Sequence[str],
    templates: Sequence[str],
    *,
    masked_prior: bool = True,
) -> Bias:
    """Compare the chance of each group word in the mask with an attribute and without knowing it.

    A template: "{attribute} [MASK]를 만났다." The prior masks the attribute, one [MASK] a piece, as
    the paper does, so that the sentence keeps its shape; with `masked_prior=False` the attribute is
    left out instead. A group of several pieces gets as many masks and sums their log-probabilities.
    Raises CourseError for fewer than two groups, no {attribute}, and as `probe` does.
    Source: Ahn & Oh 2021, "Mitigating Language-Dependent Ethnic Bias in BERT".
    """
    check_pair(model, tokenizer)
    groups, attributes = ([check_text(word) for word in words] for words in (groups, attributes))
    if len(groups) < 2:
        raise CourseError("집단이 하나뿐이면 비교할 수 없습니다. 둘 이상 주십시오.")
    templates = [checked(template, tokenizer.mask_token) for template in templates]
    priors = [""] * len(attributes)
    if masked_prior:
        priors = [f"{tokenizer.mask_token} " * len(pieces_of(tokenizer, a)) for a in attributes]
    fillings = [*(f"{attribute} " for attribute in attributes), *priors]
    different = list(dict.fromkeys(fillings))  # attributes of as many pieces share their prior
    logs = group_log_probs(model, tokenizer, templates, different, groups)
    logs = logs[:, [different.index(filling) for filling in fillings]]
    ratios = logs[:, : len(attributes)] - logs[:, len(attributes) :]
    scores, low, high = by_template(ratios), float("nan"), float("nan")
    if len(scores) > 1:
        drawn = np.random.default_rng(0).choice(scores, (DRAWS, len(scores))).mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Bias(ratios, tuple(attributes), tuple(groups), low, high)


def checked(template: str, mask: str) -> str:
    """The template itself; raises CourseError unless it holds {attribute} and exactly one mask."""
    if ATTRIBUTE not in check_text(template):
        raise CourseError(
            f"{quoted(template)}에 '{{attribute}} '가 없습니다. 속성이 들어갈 자리를 쓰십시오."
        )
    if template.count(mask) != 1:
        raise CourseError(
            f"{quoted(template)}에 {mask}가 하나만 있어야 합니다. 집단이 들어갈 자리를 쓰십시오."
        )
    return template


def group_log_probs(
    model: Any,
    tokenizer: Any,
    templates: Sequence[str],
    fillings: Sequence[str],
    groups: Sequence[str],
) -> np.ndarray:
    """Log-probability (nats) of each group in its mask: [templates, fillings, groups].

    A filling stands where "{attribute} " was and may hold masks itself; those of the group are
    told apart by their place.
    """
    mask = tokenizer.mask_token
    pieces = [pieces_of(tokenizer, group) for group in groups]
    rows, owners = [], []
    for number, template in enumerate(templates):
        before = template.split(mask)[0]
        for column, filling in enumerate(fillings):
            first = before.replace(ATTRIBUTE, filling).count(mask)
            for length in sorted({len(ids) for ids in pieces}):
                text = template.replace(mask, " ".join([mask] * length)).replace(ATTRIBUTE, filling)
                rows.append(encode(tokenizer, text, max_length=max_tokens(model.config)))
                owners.append((number, column, length, first))
    logs = np.zeros((len(templates), len(fillings), len(groups)))
    for index, scores in masked_log_probs(model, tokenizer, rows):
        number, column, length, first = owners[index]
        for group, ids in enumerate(pieces):
            if len(ids) == length:
                own = (scores[first + i, piece].item() for i, piece in enumerate(ids))
                logs[number, column, group] = sum(own)
    return logs
