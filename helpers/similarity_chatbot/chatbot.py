"""Answer with the answer of the most similar stored question, ask back, or say it is unknown."""

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
from helpers.disk import write_text
from helpers.resources import data_path
from helpers.runs import make_folder
from helpers.similarity_chatbot.encoder import SentenceEncoder, unit
from helpers.similarity_chatbot.tables import read_table

UNKNOWN = "잘 모르겠어요. 다르게 물어봐 주시겠어요?"
ASK = "혹시 이 질문인가요?"
OFFERED = 3  # stored questions that are shown with ASK
WRONG = 0.02  # the share of its answers that may be wrong where the threshold is learned


class Match(NamedTuple):
    """A stored question, its answer, its row, and the cosine with the query."""

    question: str
    answer: str
    score: float
    row: int


class Reply(NamedTuple):
    """What the chatbot says and why: the best match, was it good enough, what ASK asks about."""

    answer: str
    question: str
    score: float
    known: bool
    suggestions: tuple[str, ...] = ()


class SimilarityChatbot:
    """Answer with the stored answer of the most similar stored question.

    threshold: from this cosine on it answers. ask_from: below the threshold but from this cosine on
    it asks back with the best questions (None: never). Below both it says that it does not know.
    `learn_thresholds` finds the two.
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
        ask_from: float | None = None,
        vectors: np.ndarray | None = None,
    ):
        self.questions, self.answers = list(questions), list(answers)
        if not self.questions or len(self.questions) != len(self.answers):
            raise CourseError(
                f"질문은 {len(self.questions)}개, 답은 {len(self.answers)}개입니다. "
                "질문마다 답을 하나씩, 한 쌍 이상 주십시오."
            )
        self.encoder, self.threshold, self.ask_from = encoder, threshold, ask_from
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

        The `top_k` (all, if there are fewer) of each query, best first, of equals the first.
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
        """Answer one query, or ask back; what is too far or cannot be read is unknown."""
        matches = self.search([query], top_k=OFFERED)[0]
        best = matches[0]
        readable = bool(self.encoder.readable([query])[0])
        if readable and best.score >= self.threshold:
            return Reply(best.answer, best.question, best.score, True)
        if readable and self.ask_from is not None and best.score >= self.ask_from:
            offered = tuple(match.question for match in matches)
            return Reply(ASK, best.question, best.score, False, offered)
        return Reply(UNKNOWN, best.question, best.score, False)

    def learn_thresholds(
        self, queries: Sequence[str], rows: Sequence[int], unanswerable: Sequence[str]
    ) -> tuple[float, float]:
        """Set `ask_from` and `threshold` from queries with a known right row and hopeless ones.

        The threshold is `careful_threshold`; below `ask_from` lies half of the hopeless ones.
        """
        scores = self.scores(queries)
        self.threshold = careful_threshold(scores.max(axis=1), scores.argmax(axis=1) == rows)
        lower = float(np.median(self.scores(unanswerable).max(axis=1)))
        self.ask_from = min(lower, self.threshold)
        return self.ask_from, self.threshold

    def save(self, folder: str | os.PathLike) -> None:
        """Write vectors (safetensors), texts and the encoder's fingerprint (JSON)."""
        make_folder(folder)
        folder = Path(folder)
        save_file({"vectors": np.ascontiguousarray(self.vectors)}, folder / self.VECTORS)
        index = {
            "encoder": self.encoder.fingerprint(),
            "threshold": self.threshold,
            "ask_from": self.ask_from,
            "questions": self.questions,
            "answers": self.answers,
        }
        write_text(folder / self.INDEX, json.dumps(index, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, folder: str | os.PathLike, encoder: SentenceEncoder) -> "SimilarityChatbot":
        """Read what `save` wrote. Raises CourseError if it is damaged or of another encoder."""
        folder = Path(folder)
        try:
            index = json.loads((folder / cls.INDEX).read_text(encoding="utf-8"))
            vectors = load_file(folder / cls.VECTORS)["vectors"]
            questions, answers, made_by = index["questions"], index["answers"], index["encoder"]
            threshold, ask_from = float(index["threshold"]), index["ask_from"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CourseError(
                f"'{folder}'의 색인(index)을 읽을 수 없습니다. 챗봇을 다시 만들어 저장하십시오."
            ) from error
        if made_by != encoder.fingerprint():
            raise CourseError(
                f"'{folder}'의 색인은 다른 인코더(encoder)로 만들었습니다. 그 인코더를 쓰거나 "
                "색인을 다시 만드십시오."
            )
        if len(vectors) != len(questions):
            raise CourseError(
                f"'{folder}'의 질문은 {len(questions)}개인데 벡터는 {len(vectors)}개입니다. "
                "챗봇을 다시 만들어 저장하십시오."
            )
        return cls(questions, answers, encoder, threshold, ask_from=ask_from, vectors=vectors)


def careful_threshold(scores: np.ndarray, right: np.ndarray, wrong: float = WRONG) -> float:
    """careful_threshold([.9, .6, .5], [True, True, False]) -> 0.55, between .6 and .5

    scores: best cosine of each answerable query; right: was the best match the right one. The
    lowest threshold, so the largest coverage, at which at most `wrong` of the answers are wrong.
    """
    scores, right = np.asarray(scores), np.asarray(right, dtype=bool)
    steps = np.unique([*scores, -1, 1.01])
    candidates = (steps[:-1] + steps[1:]) / 2  # at the last one nothing is answered
    answered = scores[:, None] >= candidates
    mistakes = (answered & ~right[:, None]).sum(axis=0)
    return float(candidates[np.argmax(mistakes <= wrong * answered.sum(axis=0))])


def course_chatbot(encoder: SentenceEncoder) -> SimilarityChatbot:
    """The chatbot over the course's own pairs, its thresholds learned from the course's queries."""
    folder = data_path("chatbot-pairs").parent
    pairs = read_table(folder / "qa.tsv", "id", "question", "answer")
    queries = read_table(folder / "queries.tsv", "query", "id")
    hopeless = [row["query"] for row in read_table(folder / "unanswerable.tsv", "query")]
    questions, answers = ([pair[column] for pair in pairs] for column in ("question", "answer"))
    chatbot = SimilarityChatbot(questions, answers, encoder)
    row_of = {pair["id"]: row for row, pair in enumerate(pairs)}
    rows = [row_of[query["id"]] for query in queries]
    chatbot.learn_thresholds([query["query"] for query in queries], rows, hopeless)
    return chatbot


def talk(chatbot: SimilarityChatbot) -> None:
    """Read queries from the terminal or a pipe, a line each, and print the answers to the end.

    Where the chatbot has asked back, the number of a question stands for the question.
    """
    typed = sys.stdin.isatty()
    if typed:
        print("질문을 쓰고 Enter를 누르십시오. 챗봇이 되물으면 번호로 골라도 됩니다.")
        print("끝내려면 Ctrl-D나 Ctrl-C를 누르십시오.")
    offered: dict[str, str] = {}
    try:
        while True:
            query = input("> " if typed else "").strip()
            if query:
                reply = chatbot.answer(offered.get(query, query))
                offered = {str(i): text for i, text in enumerate(reply.suggestions, start=1)}
                numbered = [f"{i}. {text}" for i, text in offered.items()]
                found = "\n            ".join(numbered) or reply.question
                print(f"{reply.answer}\n    [{reply.score:.3f}] {found}", flush=True)
    except (EOFError, KeyboardInterrupt):
        print("\n안녕히 가세요." if typed else "안녕히 가세요.")
