"""Categorical bias score: does an attribute change which group a masked language model expects?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from helpers import CourseError
from helpers.mask_attack.masks import encode_prompts, masked_log_probs, pieces_of, put


@dataclass(frozen=True)
class Bias:
    """score: mean over templates and attributes of the variance over groups; 0 without any bias.

    matrix: attributes (rows) x groups, log2 of "with the attribute" over "without", mean over
    templates.
    """

    score: float
    matrix: pd.DataFrame


def categorical_bias(
    model: Any,
    tokenizer: Any,
    groups: Sequence[str],
    attributes: Sequence[str],
    templates: Sequence[str],
) -> Bias:
    """Compare the chance of each group word in the mask with an attribute and without it.

    A template holds one mask and "{attribute} ", which is left out for the neutral prior. The
    logarithm is natural in the score, as in the paper, and of base 2 in the matrix. A group of
    several pieces gets as many masks and the sum of their log-probabilities.
    Raises CourseError for fewer than two groups, a template without {attribute}, and as `probe`
    does.
    Source: Ahn & Oh 2021, "Mitigating Language-Dependent Ethnic Bias in BERT".
    """
    if len(groups) < 2:
        raise CourseError("집단이 하나뿐이면 비교할 수 없습니다. 둘 이상 주십시오.")
    for template in templates:
        if "{attribute} " not in template:
            raise CourseError(
                f"{template!r}에 '{{attribute}} '가 없습니다. 속성이 들어갈 자리를 쓰십시오."
            )
    texts = [
        template.replace("{attribute} ", f"{attribute} " if attribute else "")
        for template in templates
        for attribute in ("", *attributes)
    ]
    pieces = [pieces_of(tokenizer, group) for group in groups]
    prompts = encode_prompts(model, tokenizer, texts)
    lengths = sorted({len(p) for p in pieces})
    mask = tokenizer.mask_token_id
    rows = [put(row, mask, [mask] * length) for row in prompts for length in lengths]
    logs = np.zeros((len(prompts), len(groups)))
    for index, scores in masked_log_probs(model, tokenizer, rows):
        prompt, length = divmod(index, len(lengths))
        for group, ids in enumerate(pieces):
            if len(ids) == lengths[length]:
                logs[prompt, group] = sum(scores[i, piece].item() for i, piece in enumerate(ids))
    logs = logs.reshape(len(templates), 1 + len(attributes), len(groups))
    ratios = logs[:, 1:] - logs[:, :1]
    matrix = pd.DataFrame(ratios.mean(0) / np.log(2), index=list(attributes), columns=list(groups))
    return Bias(float(ratios.var(axis=2).mean()), matrix)
