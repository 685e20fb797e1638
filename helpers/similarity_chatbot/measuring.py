"""How often the right question is found: ranks, recall@k and the mean reciprocal rank."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers import CourseError
from helpers.similarity_chatbot.chatbot import SimilarityChatbot
from helpers.similarity_chatbot.encoder import SentenceEncoder
from helpers.similarity_chatbot.tables import read_table


def target_ranks(scores: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """target_ranks([[.1, .9, .5]], [2]) -> [2]: the place of the right column in each row, from 1.

    scores: [queries, questions]. Ties and NaN count against the right column.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    own = scores[np.arange(len(scores)), targets][:, None]
    return scores.shape[1] - (scores < own).sum(axis=1)


def recall_at_k(ranks: Sequence[int], k: int) -> float:
    """recall_at_k([1, 3, 9], 5) -> 0.667: the share of queries answered in the first k."""
    return float(np.mean(np.asarray(ranks) <= k))


def mean_reciprocal_rank(ranks: Sequence[int]) -> float:
    """mean_reciprocal_rank([1, 2, 4]) -> 0.583: the mean of 1 / rank."""
    return float(np.mean(1 / np.asarray(ranks)))


def evaluate_retrieval(
    questions: Path, queries: Path, encoder: SentenceEncoder
) -> dict[str, float | int]:
    """Measure an encoder on two tables: {"recall_at_1", "recall_at_5", "mrr", "n"}.

    questions: columns `id`, `question`. queries: columns `query`, `id` of the right question.
    Raises CourseError for an unusable file and for an id that is not, or twice, in the questions.
    """
    stored = read_table(questions, "id", "question")
    rows = {row["id"]: number for number, row in enumerate(stored)}
    if len(rows) < len(stored):
        raise CourseError(f"'{questions}'에 같은 id가 두 번 있습니다. id를 저마다 다르게 쓰십시오.")
    asked = read_table(queries, "query", "id")
    if unknown := [row["id"] for row in asked if row["id"] not in rows]:
        raise CourseError(
            f"'{queries}'의 id {unknown[0]!r}이(가) '{questions}'에 없습니다. id를 확인하십시오."
        )
    texts = [row["question"] for row in stored]
    chatbot = SimilarityChatbot(texts, texts, encoder)
    ranks = []
    for start in range(0, len(asked), 1000):  # a thousand rows of scores at a time
        part = asked[start : start + 1000]
        scores = chatbot.scores([row["query"] for row in part])
        ranks.extend(target_ranks(scores, [rows[row["id"]] for row in part]))
    return {
        "recall_at_1": recall_at_k(ranks, 1),
        "recall_at_5": recall_at_k(ranks, 5),
        "mrr": mean_reciprocal_rank(ranks),
        "n": len(ranks),
    }
