"""Membership inference: was this sentence in the training text?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score, roc_curve

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.batches import masked_log_probs
from helpers.resources import check_pair
from helpers.text import check_text


def membership_scores(
    model: Any, reference: Any, tokenizer: Any, sentences: Sequence[str]
) -> pd.DataFrame:
    """A row a sentence: `loss` under the model, `reference` loss, `ratio` = reference - loss.

    Losses as for `sentence_losses`. A high ratio says the model expects the sentence more than the
    model that has not read the text, whatever is common in the sentence.
    Source: Mireshghallah et al. 2022, "Quantifying Privacy Risks of Masked Language Models Using
    Membership Inference Attacks".
    """
    models = {"loss": model, "reference": reference}
    losses = {name: sentence_losses(net, tokenizer, sentences) for name, net in models.items()}
    return pd.DataFrame(losses | {"ratio": losses["reference"] - losses["loss"]})


def sentence_losses(model: Any, tokenizer: Any, sentences: Sequence[str]) -> np.ndarray:
    """Mean masked-LM loss of each sentence in nats a token, every token masked once, alone.

    Masking all in turn leaves nothing to chance; the paper draws ten masks of 15 percent.
    Longer sentences are cut. Raises CourseError for an empty sentence and a foreign tokenizer.
    """
    check_pair(model, tokenizer)
    rows, targets, owners = [], [], []
    for number, sentence in enumerate(sentences):
        if not check_text(sentence).strip():
            raise CourseError("빈 문장입니다. 학습에 쓰였는지 물을 문장을 쓰십시오.")
        limit = max_tokens(model.config)
        ids = tokenizer(sentence, truncation=True, max_length=limit)["input_ids"]
        for place in range(1, len(ids) - 1):
            rows.append([*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]])
            targets.append((place, ids[place]))
            owners.append(number)
    sums, counts = np.zeros(len(sentences)), np.bincount(owners, minlength=len(sentences))
    for index, scores in masked_log_probs(model, tokenizer, rows):
        # a sentence may hold [MASK] itself: ours is the one with as many masks before it
        place, piece = targets[index]
        before = rows[index][:place].count(tokenizer.mask_token_id)
        sums[owners[index]] -= scores[before, piece].item()
    return sums / np.maximum(counts, 1)


def roc(
    members: Sequence[float], others: Sequence[float], *, most_fpr: float = 0.05, draws: int = 1_000
) -> dict[str, float]:
    """How well a score tells members (should be high) from others.

    roc([3, 1], [2, 0])["AUC"] -> 0.75: of the four pairs three are in the right order.
    Returns `members` and `others` (their numbers), `AUC` with its 95 % bootstrap interval `low`
    and `high`, and `TPR`: the share of members found by the best threshold that accuses at most
    `most_fpr` of the others. Raises CourseError where one of the two is empty.
    """
    members, others = np.asarray(members, float), np.asarray(others, float)
    if not (len(members) and len(others)):
        raise CourseError("배운 문장과 배우지 않은 문장이 하나씩은 있어야 합니다.")
    labels = np.repeat([1, 0], [len(members), len(others)])
    scores = np.concatenate([members, others])
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    rng = np.random.default_rng(0)
    drawn = [
        roc_auc_score(labels, np.concatenate([rng.choice(side, len(side)) for side in sides]))
        for sides in [(members, others)] * draws
    ]
    low, high = np.quantile(drawn, [0.025, 0.975]) if draws else (np.nan, np.nan)
    return {
        "members": len(members),
        "others": len(others),
        "AUC": float(roc_auc_score(labels, scores)),
        "low": float(low),
        "high": float(high),
        "TPR": float(true[false <= most_fpr].max()),
    }
