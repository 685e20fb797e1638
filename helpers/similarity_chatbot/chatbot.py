"""Answer with the answer of the most similar stored question, or say that none is known."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from helpers import CourseError
from helpers.resources import data_path
from helpers.similarity_chatbot.encoder import SentenceEncoder, unit
from helpers.similarity_chatbot.tables import read_table

UNKNOWN = "잘 모르겠습니다. 다른 말로 다시 물어봐 주십시오."


class Match(NamedTuple):
    """A stored question, its answer, its row, and the cosine with the query."""

    question: str
    answer: str
    score: float
    row: int


class Reply(NamedTuple):
    """What the chatbot says, and why: the best match, and whether its score was high enough."""

    answer: str
    question: str
    score: float
    known: bool


class SimilarityChatbot:
    """Answer with the stored answer of the most similar stored question.

    threshold: below this cosine it says that it does not know; `learn_threshold` finds one.
    Raises CourseError for lists of different lengths or without a question.
    """

    VECTORS, INDEX = "vectors.safetensors", "index.json"

    def __init__(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        encoder: SentenceEncoder,
        threshold: float = 0.0,
        *,
        vectors: np.ndarray | None = None,
    ):
        self.questions, self.answers = list(questions), list(answers)
        if not self.questions or len(self.questions) != len(self.answers):
            raise CourseError(
                f"질문은 {len(self.questions)}개, 답은 {len(self.answers)}개입니다. "
                "질문마다 답을 하나씩, 한 쌍 이상 주십시오."
            )
        self.encoder, self.threshold = encoder, threshold
        self.vectors = self.unit_vectors(self.questions) if vectors is None else vectors

    def unit_vectors(self, sentences: Sequence[str]) -> np.ndarray:
        """Encode to length 1: float32 [n, hidden]; zeros, alike to nothing, for unreadable text."""
        sentences = list(sentences)
        return unit(self.encoder.encode(sentences)) * self.encoder.readable(sentences)[:, None]

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Cosine of every query with every stored question: [queries, questions]."""
        return self.unit_vectors(queries) @ self.vectors.T

    def search(self, queries: Sequence[str], top_k: int = 5) -> list[list[Match]]:
        """search(["이름 좀 알려 줘"], 2) -> [[Match("이름이 뭐야?", ..., 0.9, 1), Match(...)]]

        The best `top_k` (all, if there are fewer) of each query, best first, of equals the first.
        Raises CourseError for a `top_k` below 1 and as `encode` does.
        """
        if top_k < 1:
            raise CourseError("top_k는 1 이상이어야 합니다. 보고 싶은 후보의 수를 주십시오.")
        found = []
        for query in self.unit_vectors(queries):  # one at a time: a million scores are 4 MB
            scores = self.vectors @ query
            best = np.argsort(-scores, kind="stable")[:top_k].tolist()
            found.append(
                [Match(self.questions[i], self.answers[i], float(scores[i]), i) for i in best]
            )
        return found

    def answer(self, query: str) -> Reply:
        """Answer one query; below the threshold, or where nothing can be read, say so."""
        (match,) = self.search([query], top_k=1)[0]
        known = match.score >= self.threshold and bool(self.encoder.readable([query])[0])
        return Reply(match.answer if known else UNKNOWN, match.question, match.score, known)

    def learn_threshold(
        self, queries: Sequence[str], rows: Sequence[int], unanswerable: Sequence[str]
    ) -> float:
        """Set the threshold that serves queries with a known right row and hopeless ones best.

        Best is the largest sum of two shares: queries answered and right, hopeless ones refused.
        """
        scores = self.scores(queries)
        right = scores.argmax(axis=1) == np.asarray(rows)
        self.threshold = best_threshold(
            scores.max(axis=1), right, self.scores(unanswerable).max(axis=1)
        )
        return self.threshold

    def save(self, folder: str | os.PathLike) -> None:
        """Write vectors (safetensors), texts and the encoder's fingerprint (JSON)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"vectors": np.ascontiguousarray(self.vectors)}, folder / self.VECTORS)
        index = {
            "encoder": self.encoder.fingerprint(),
            "threshold": self.threshold,
            "questions": self.questions,
            "answers": self.answers,
        }
        text = json.dumps(index, ensure_ascii=False, indent=1)
        (folder / self.INDEX).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike, encoder: SentenceEncoder) -> "SimilarityChatbot":
        """Read what `save` wrote, without encoding again.

        Raises CourseError if a file is missing or damaged, or if another encoder made the vectors.
        """
        folder = Path(folder)
        try:
            index = json.loads((folder / cls.INDEX).read_text(encoding="utf-8"))
            vectors = load_file(folder / cls.VECTORS)["vectors"]
            texts = index["questions"], index["answers"]
            same, threshold = index["encoder"] == encoder.fingerprint(), float(index["threshold"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CourseError(
                f"'{folder}'의 색인(index)을 읽을 수 없습니다. 챗봇을 다시 만들어 저장하십시오."
            ) from error
        if not same:
            raise CourseError(
                f"'{folder}'의 색인은 다른 인코더(encoder)로 만들었습니다. 그 인코더를 쓰거나 "
                "색인을 다시 만드십시오."
            )
        if len(vectors) != len(texts[0]):
            raise CourseError(
                f"'{folder}'의 질문은 {len(texts[0])}개인데 벡터는 {len(vectors)}개입니다. "
                "챗봇을 다시 만들어 저장하십시오."
            )
        return cls(*texts, encoder, threshold, vectors=vectors)


def best_threshold(scores: np.ndarray, right: np.ndarray, hopeless: np.ndarray) -> float:
    """best_threshold([.9, .6, .5], [True, True, False], [.4, .55]) -> 0.575, between .55 and .6

    scores: best cosine of each answerable query; right: was the best match the right one;
    hopeless: best cosine of each query without an answer. See `learn_threshold` for what is best.
    """
    scores, right, hopeless = map(np.asarray, (scores, right, hopeless))
    steps = np.unique(np.concatenate([scores, hopeless, [-1, 1]]))
    candidates = (steps[:-1] + steps[1:]) / 2
    answered = ((scores[:, None] >= candidates) & right[:, None]).mean(axis=0)
    refused = (hopeless[:, None] < candidates).mean(axis=0)
    return float(candidates[np.argmax(answered + refused)])


def course_chatbot(encoder: SentenceEncoder) -> SimilarityChatbot:
    """The chatbot over the course's own pairs, its threshold learned from the course's queries."""
    folder = data_path("chatbot-pairs").parent
    pairs = read_table(folder / "qa.tsv", "id", "question", "answer")
    queries = read_table(folder / "queries.tsv", "query", "id")
    hopeless = read_table(folder / "unanswerable.tsv", "query")
    rows = {pair["id"]: row for row, pair in enumerate(pairs)}
    chatbot = SimilarityChatbot(
        [pair["question"] for pair in pairs], [pair["answer"] for pair in pairs], encoder
    )
    chatbot.learn_threshold(
        [query["query"] for query in queries],
        [rows[query["id"]] for query in queries],
        [query["query"] for query in hopeless],
    )
    return chatbot


def talk(chatbot: SimilarityChatbot) -> None:
    """Read queries from the terminal or a pipe, a line each, and print the answers to the end."""
    typed = sys.stdin.isatty()
    if typed:
        print("질문을 쓰고 Enter를 누르십시오. 끝내려면 Ctrl-D나 Ctrl-C를 누르십시오.")
    try:
        while True:
            query = input("> " if typed else "").strip()
            if query:
                reply = chatbot.answer(query)
                print(f"{reply.answer}\n    [{reply.score:.3f}] {reply.question}", flush=True)
    except (EOFError, KeyboardInterrupt):
        print("\n안녕히 가십시오." if typed else "안녕히 가십시오.")
