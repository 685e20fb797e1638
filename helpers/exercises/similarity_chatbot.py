"""Exercises of lesson 02: cosine, the best answer, common direction, MRR, contrast, threshold."""

import math

import numpy as np

from helpers.exercises import Exercise, wrong_number


def cosine(a, b):
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths else 0.0


def _check_cosine(function):
    a, b, zero = np.array([3.0, 4.0]), np.array([8.0, 6.0]), np.zeros(2)
    got = function(a, b)
    if np.ndim(got) != 0 or got is None:
        yield "수 하나를 돌려주십시오. 벡터끼리의 내적은 a @ b입니다."
    elif math.isclose(got, 48):
        yield "내적만 구했습니다. 두 벡터의 길이의 곱으로 나누십시오."
    elif math.isclose(got, 48 / 5) or math.isclose(got, 48 / 10):
        yield "한쪽의 길이로만 나누었습니다. 두 길이의 곱으로 나누십시오."
    elif math.isclose(got, 48 / 2500):
        yield "길이는 제곱합의 제곱근입니다. np.linalg.norm을 쓰십시오."
    elif not math.isclose(got, 0.96):
        yield f"[3, 4]와 [8, 6]의 코사인은 0.96이어야 하는데 {got:.3f}입니다."
    elif wrong := [c for c in (function(a, zero), function(zero, b)) if c != 0]:
        yield (
            f"영벡터와의 코사인은 0.0으로 정합니다. 지금은 {wrong[0]}입니다. 0으로 나누지 마십시오."
        )


def _vector_pairs(draw):
    for length in range(1, 16):
        a, b = (np.array([draw.gauss() for _ in range(length)]) for _ in range(2))
        yield a, b
        yield a, draw.choice((np.zeros(length), a, -3 * a))


q1 = Exercise(
    "두 벡터의 코사인을 돌려주는 함수를 쓰십시오. 한쪽이 영벡터이면 0.0입니다.",
    "내적은 a @ b, 길이는 np.linalg.norm(a)입니다. 길이의 곱이 0인지 먼저 보십시오.",
    cosine,
    _check_cosine,
    cases=_vector_pairs,
)


def best_answer(query, questions, answers):
    cosines = questions @ query / np.linalg.norm(questions, axis=1)
    return answers[int(np.argmax(cosines))]


def _check_best_answer(function):
    questions = np.array([[9.0, 9.0], [2.0, 1.0], [0.2, 0.02], [-2.0, 0.0]])
    answers = ["긴 벡터", "가까운 점", "작은 각", "반대"]
    got = function(np.array([2.0, 0.0]), questions, answers)
    if isinstance(got, int | np.integer):
        yield "번호가 아니라 그 번호의 답을 돌려주십시오."
    elif got == "긴 벡터":
        yield "내적이 가장 큰 답입니다. 긴 벡터가 이기지 않도록 질문 벡터의 길이로 나누십시오."
    elif got == "반대":
        yield "가장 먼 질문의 답입니다. 코사인이 가장 큰 질문을 고르십시오."
    elif got == "가까운 점":
        yield "거리가 가장 짧은 질문의 답입니다. 코사인은 거리가 아니라 방향만 봅니다."
    elif got != "작은 각":
        yield f'"작은 각"을 돌려주어야 하는데 {got!r}을(를) 돌려주었습니다.'


def _searches(draw):
    for count in range(1, 21):
        size = draw.randint(2, 6)
        query = np.array([draw.gauss() for _ in range(size)])
        rows = [[draw.gauss() * scale for _ in range(size)] for scale in range(1, count + 1)]
        draw.shuffle(rows)
        yield query, np.array(rows), [f"답{number}" for number in range(count)]


q2 = Exercise(
    "query [차원], questions [질문, 차원], answers(리스트)를 받아 코사인이 가장 큰 질문의 답을 "
    "돌려주는 함수를 쓰십시오.",
    "questions @ query는 질문마다의 내적입니다. np.linalg.norm(questions, axis=1)로 나누고 "
    "np.argmax를 쓰십시오. query의 길이는 순서를 바꾸지 않습니다.",
    best_answer,
    _check_best_answer,
    cases=_searches,
)


def mean_reciprocal_rank(ranks):
    return sum(1 / rank for rank in ranks if rank is not None) / len(ranks)


def _check_mean_reciprocal_rank(function):
    typical = {
        1.75 / 3: "찾지 못한 질의(None)도 세어야 합니다. 역수가 0일 뿐, 모든 질의의 수로 나눕니다.",
        1.75: "역수를 더하기만 했습니다. 질의의 수로 나누십시오.",
        7 / 3: "순위의 평균입니다. 순위마다 역수(1/순위)를 먼저 구하십시오.",
        3 / 7: "평균 순위의 역수입니다. 역수를 먼저 구하고 평균하십시오.",
        4 / 7: "평균 순위의 역수입니다. 역수를 먼저 구하고 평균하십시오.",
    }
    otherwise = "[1, 4, None, 2]에서 0.4375여야 하는데 {:.4f}입니다."
    yield from wrong_number(function([1, 4, None, 2]), 1.75 / 4, typical, otherwise)


def _rank_lists(draw):
    yield ([None],)
    yield ([1],)
    for _ in range(20):
        yield (draw.choices([None, 1, 2, 3, 10, 100], k=draw.randint(1, 8)),)


q3 = Exercise(
    "맞는 질문의 순위(1부터)들을 받아 MRR을 돌려주는 함수를 쓰십시오. 찾지 못한 질의의 순위는 "
    "None이고 역수를 0으로 칩니다.",
    "순위마다 1/순위를 더하고 질의의 수 len(ranks)로 나누십시오.",
    mean_reciprocal_rank,
    _check_mean_reciprocal_rank,
    cases=_rank_lists,
)


def remove_common(vectors):
    centred = vectors - vectors.mean(axis=0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def _check_remove_common(function):
    vectors = np.array([[10.0, 1.0, 0.0], [10.0, -1.0, 2.0], [10.0, 3.0, 1.0]])
    given = vectors.copy()
    expected = remove_common(vectors)
    got = function(given)
    if not isinstance(got, np.ndarray) or got.shape != vectors.shape:
        yield "받은 것과 같은 모양의 배열을 돌려주십시오."
    elif not np.array_equal(given, vectors):
        yield "받은 배열을 고쳤습니다. vectors -= 대신 새 배열을 만드십시오."
    elif np.allclose(got, vectors - vectors.mean(axis=0)):
        yield "평균을 빼기만 했습니다. 줄마다 길이가 1이 되게 나누십시오."
    elif np.allclose(got, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)):
        yield "길이만 맞추었습니다. 모든 벡터의 평균을 먼저 빼십시오."
    elif np.allclose(got.sum(axis=1), 0):
        yield "줄마다 평균을 뺐습니다. 공통 방향은 axis=0의 평균입니다."
    elif not np.allclose(got, expected):
        yield f"첫 줄이 {expected[0].round(3)}이어야 하는데 {got[0].round(3)}입니다."


def _vector_tables(draw):
    for _ in range(20):
        rows, size = draw.randint(2, 6), draw.randint(2, 6)
        yield (np.array([[draw.gauss(3) for _ in range(size)] for _ in range(rows)]),)


q4 = Exercise(
    "vectors [문장, 차원]에서 공통 방향(모든 문장의 평균)을 빼고, 줄마다 길이를 1로 맞춘 "
    "배열을 돌려주는 함수를 쓰십시오.",
    "vectors.mean(axis=0)은 [차원]입니다. 뺀 다음 np.linalg.norm(..., axis=1, keepdims=True)로 "
    "나누십시오.",
    remove_common,
    _check_remove_common,
    cases=_vector_tables,
)


def contrastive_loss(cosines, temperature):
    scores = cosines / temperature
    partner = np.diag(scores)
    return float(np.mean(np.log(np.exp(scores).sum(axis=1)) - partner))


def _check_contrastive_loss(function):
    cosines = np.array([[0.9, 0.2, 0.1], [0.3, 0.6, 0.5], [0.4, 0.0, 0.8]])
    expected = contrastive_loss(cosines, 0.5)
    got = function(cosines, 0.5)
    if np.ndim(got) != 0 or got is None:
        yield "배치(batch) 전체의 평균, 곧 수 하나를 돌려주십시오."
    elif math.isclose(got, contrastive_loss(cosines, 1.0)):
        yield "온도(temperature)로 나누지 않았습니다."
    elif math.isclose(got, contrastive_loss(cosines, 2.0)):
        yield "온도를 곱했습니다. 나누어야 차이가 커집니다."
    elif math.isclose(got, -expected):
        yield "부호가 바뀌었습니다. 손실은 -log(짝의 확률)입니다."
    elif math.isclose(got, 3 * expected):
        yield "더하기만 했습니다. 문장의 수로 나누어 평균하십시오."
    elif math.isclose(got, contrastive_loss(cosines.T, 0.5)):
        yield "세로로 더했습니다. 문장 i(줄)가 열 가운데에서 짝을 찾으므로 axis=1입니다."
    elif not math.isclose(got, expected):
        yield f"시험에서 {expected:.4f}여야 하는데 {got:.4f}입니다."


def _cosine_tables(draw):
    for _ in range(20):
        size = draw.randint(1, 6)
        cosines = [[round(draw.uniform(-1, 1), 3) for _ in range(size)] for _ in range(size)]
        yield np.array(cosines), draw.choice((0.05, 0.1, 0.5, 1.0, 2.0))


q5 = Exercise(
    "cosines [문장, 문장]의 i번째 줄은 문장 i와 모든 후보의 코사인이고, 대각선이 제 짝입니다. "
    "온도로 나눈 뒤 소프트맥스(softmax)로 구한 짝의 확률의 -log를 평균하는 함수를 쓰십시오.",
    "-log softmax = log(줄의 exp의 합) - 짝의 점수입니다. 대각선은 np.diag로 꺼냅니다.",
    contrastive_loss,
    _check_contrastive_loss,
    cases=_cosine_tables,
)


def coverage_and_accuracy(scores, right, threshold):
    answered = [ok for score, ok in zip(scores, right, strict=True) if score >= threshold]
    accuracy = sum(answered) / len(answered) if answered else 0.0
    return len(answered) / len(scores), accuracy


def _check_coverage_and_accuracy(function):
    scores, right = [0.9, 0.8, 0.7, 0.4, 0.3], [True, True, False, True, False]
    got = function(list(scores), list(right), 0.7)
    if not isinstance(got, tuple | list) or len(got) != 2:
        yield "(답한 비율, 답한 것 가운데 맞은 비율)의 두 값을 돌려주십시오."
        return
    coverage, accuracy = map(float, got)
    if math.isclose(coverage, 2 / 5):
        yield "문턱값과 같은 점수는 답합니다. >가 아니라 >=입니다."
    elif math.isclose(coverage, 2 / 3) and math.isclose(accuracy, 3 / 5):
        yield "순서가 바뀌었습니다. 답한 비율이 먼저입니다."
    elif coverage == 3:
        yield "답한 수가 아니라 비율입니다. 질의의 수로 나누십시오."
    elif math.isclose(accuracy, 2 / 5):
        yield "정확도는 답한 질의만 셉니다. 답한 수로 나누십시오."
    elif not (math.isclose(coverage, 3 / 5) and math.isclose(accuracy, 2 / 3)):
        yield f"(0.6, 0.667)이어야 하는데 ({coverage:.3f}, {accuracy:.3f})입니다."
    elif tuple(function(scores, right, 0.95)) != (0.0, 0.0):
        yield "하나도 답하지 않으면 (0.0, 0.0)을 돌려주십시오."


def _thresholds(draw):
    for length in range(1, 21):
        scores = [draw.randint(0, 10) / 10 for _ in range(length)]
        right = [draw.random() < 0.6 for _ in scores]
        yield scores, right, draw.choice((*scores, 0.05, 1.5))


q6 = Exercise(
    "점수(scores), 맞았는지(right), 문턱값(threshold)을 받아 (답한 비율, 답한 것 가운데 맞은 "
    "비율)을 돌려주는 함수를 쓰십시오. 점수가 문턱값 이상이면 답합니다. 답한 것이 없으면 "
    "(0.0, 0.0)입니다.",
    "zip(scores, right)에서 score >= threshold인 것만 모으십시오.",
    coverage_and_accuracy,
    _check_coverage_and_accuracy,
    cases=_thresholds,
)
