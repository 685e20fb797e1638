"""Exercises of lesson 03: P@k, exposure, redaction and its gaps, importance, particles, bias."""

import math
import re
import statistics

from helpers.exercises import Exercise


def precision_at_k(ranks, k):
    return sum(rank <= k for rank in ranks) / len(ranks)


def _check_precision(answer):
    got = answer([1, 3, 12, 5, 1], 5)
    if not isinstance(got, int | float):
        yield f"수 하나를 돌려주어야 하는데 {type(got).__name__}을(를) 돌려주었습니다."
    elif got == 4:
        yield "맞힌 개수입니다. 질문의 수로 나누어 비율로 만드십시오."
    elif math.isclose(got, 3 / 5):
        yield "k등도 k등 안입니다. 5등인 답을 빠뜨렸습니다."
    elif math.isclose(got, 2 / 5):
        yield "1등만 세었습니다. 순위가 k 이하인 것을 모두 세십시오."
    elif math.isclose(got, 4 / 5 / 5):
        yield "k로 한 번 더 나누었습니다. 질문의 수로만 나누십시오."
    elif not math.isclose(got, 4 / 5):
        yield f"순위 [1, 3, 12, 5, 1]의 P@5는 0.8인데 {got}입니다."
    elif not math.isclose(answer([1, 3, 12, 5, 1], 1), 2 / 5):
        yield "k를 5로 못 박았습니다. 받은 k를 쓰십시오. 같은 순위의 P@1은 0.4입니다."


def _rank_lists(draw):
    for length in range(1, 21):
        yield [draw.randint(1, 12) for _ in range(length)], draw.randint(1, 10)


q1 = Exercise(
    "순위의 리스트와 k를 받아 P@k를 돌려주는 함수를 쓰십시오.",
    "rank <= k인 것을 세어 len(ranks)로 나눕니다. 참과 거짓은 sum으로 셀 수 있습니다.",
    precision_at_k,
    _check_precision,
    cases=_rank_lists,
)


def exposure(rank, candidates):
    return math.log2(candidates) - math.log2(rank)


def _check_exposure(answer):
    first, middle = answer(1, 1024), answer(512, 1024)
    if not all(isinstance(got, int | float) for got in (first, middle)):
        yield "수 하나를 돌려주어야 합니다."
    elif math.isclose(first, math.log(1024)) or math.isclose(middle, math.log(2)):
        yield "밑이 2인 로그를 쓰십시오. 그래야 단위가 비트입니다."
    elif math.isclose(first, 0) and math.isclose(middle, 9):
        yield "순위의 로그만 구했습니다. 후보 수의 로그에서 순위의 로그를 빼십시오."
    elif math.isclose(first, -10):
        yield "부호가 거꾸로입니다. 1등일 때 가장 커야 합니다."
    elif math.isclose(first, 1024):
        yield "후보 수를 순위로 나눈 값에 로그를 씌우십시오."
    elif not (math.isclose(first, 10) and math.isclose(middle, 1)):
        yield f"1,024개 가운데 1등이면 10비트, 512등이면 1비트인데 {first}와 {middle}입니다."


def _ranks(draw):
    yield 1, 1
    for _ in range(20):
        candidates = draw.randint(1, 5000)
        yield draw.choice((1, candidates, draw.randint(1, candidates))), candidates


q2 = Exercise(
    "비밀의 순위와 후보의 수를 받아 노출도(비트)를 돌려주는 함수를 쓰십시오.",
    "math.log2를 두 번 쓰면 됩니다. 후보가 1,024개이고 순위가 1이면 10비트입니다.",
    exposure,
    _check_exposure,
    cases=_ranks,
)


def redact_phones(text):
    return re.sub(r"01\d[-. ]?\d{3,4}[-. ]?\d{4}", "[전화번호]", text)


def _check_redact(answer):
    cases = [
        ("연락처는 010-0372-5518입니다.", "하이픈(-)으로 이은 번호"),
        ("연락처는 010.0372.5518입니다.", "점으로 이은 번호"),
        ("연락처는 010 0372 5518입니다.", "공백으로 띄운 번호"),
        ("연락처는 01003725518입니다.", "이어 쓴 번호"),
        ("연락처는 011-037-5518입니다.", "가운데가 세 자리인 옛 번호"),
    ]
    for text, what in cases:
        got = answer(text)
        if not isinstance(got, str):
            yield "바꾼 글(문자열)을 돌려주십시오."
            return
        if got != "연락처는 [전화번호]입니다.":
            yield f"{what}를 [전화번호]로 바꾸지 못했습니다: {got}"
            return
    for text in ("회의는 2026-11-25에 있습니다.", "값은 10,372원입니다."):
        if answer(text) != text:
            yield f"전화번호가 아닌 것까지 바꾸었습니다: {answer(text)}"
            return
    if "5518" in answer("집은 010-0372-5518, 일터는 011-037-5518이다."):
        yield "한 글에 번호가 둘이면 둘 다 바꾸어야 합니다."


def _texts(draw):
    yield ("",)
    others = ["오늘은", "2026-11-25", "10,372원", "문의:", "1588-1234", "3호선", "01월", "끝."]
    for _ in range(25):
        words = draw.choices(others, k=draw.randint(0, 4))
        for _ in range(draw.randint(0, 3)):
            middle = draw.choice(("0372", "5501", "037"))
            parts = draw.choice(("010", "011", "016", "019")), middle, f"{draw.randrange(9999):04}"
            phone = draw.choice(("-", ".", " ", "")).join(parts)
            words.insert(draw.randint(0, len(words)), f"전화({phone})")
        yield (" ".join(words),)


q3 = Exercise(
    "글 속의 휴대 전화 번호를 모두 [전화번호]로 바꾸는 함수를 정규식으로 쓰십시오.",
    "re.sub를 씁니다. 앞은 01\\d, 사이의 기호는 [-. ]?, 가운데는 \\d{3,4}입니다.",
    redact_phones,
    _check_redact,
    cases=_texts,
)


def kinds_left():
    return {"주소"}


def _check_kinds(answer):
    kinds = {"전화번호", "주소", "비밀번호"}
    if not isinstance(answer, set):
        yield '집합으로 적으십시오. 예: {"전화번호", "비밀번호"}'
    elif answer - kinds:
        yield f"심은 비밀의 종류는 {', '.join(sorted(kinds))}뿐입니다."
    elif "전화번호" in answer or "비밀번호" in answer:
        yield (
            "전화번호와 비밀번호는 PATTERNS에 있습니다. 비밀번호의 정규식은 심은 문장에 맞추어 "
            "쓴 것입니다."
        )
    elif not answer:
        yield "모두 막지는 못합니다. PATTERNS에 없는 종류가 하나 있습니다."


q4 = Exercise(
    "전화번호, 주소, 비밀번호 가운데 exposure.redact로 가린 글에도 그대로 남는 종류를 집합으로 "
    "적으십시오.",
    "정규식은 모양이 정해진 것만 압니다. 모양이 가장 자유로운 것은 무엇입니까?",
    kinds_left,
    _check_kinds,
)


def most_important(probability, without):
    falls = {word: probability - value for word, value in without.items()}
    return sorted(falls, key=falls.get, reverse=True)


def _check_important(answer):
    without = {"배우의": 0.90, "연기가": 0.85, "정말": 0.95, "최고였다": 0.20}
    expected = most_important(0.92, without)
    got = answer(0.92, dict(without))
    if isinstance(got, dict):
        yield "어절의 리스트를 돌려주십시오. 값은 순서를 정할 때만 씁니다."
        return
    got = list(got)
    if got == expected[::-1]:
        yield "거꾸로입니다. 빈칸으로 바꾸었을 때 확률이 가장 많이 떨어지는 어절이 가장 중요합니다."
    elif got == ["최고였다", "연기가", "정말", "배우의"]:
        yield "차이의 크기가 아니라 떨어진 값을 보십시오. 오히려 오른 어절은 맨 뒤입니다."
    elif got == list(without):
        yield "받은 순서 그대로입니다. 떨어진 값이 큰 것부터 늘어놓으십시오."
    elif got != expected:
        yield f"{' '.join(expected)}의 순서여야 하는데 {' '.join(map(str, got))}입니다."


def _falls(draw):
    yield 0.9, {}
    words = ["배우의", "연기가", "정말", "최고였다", "그런데", "조금", "길다", "다시", "보겠다"]
    for _ in range(20):
        chosen = draw.sample(words, draw.randint(1, len(words)))
        # Distinct, so that there is one right order.
        values = [value / 100 for value in draw.sample(range(100), len(chosen))]
        yield draw.randint(20, 99) / 100, dict(zip(chosen, values, strict=True))


q5 = Exercise(
    "원래 확률과 {어절: 그 어절을 빈칸으로 바꾸었을 때의 확률}을 받아 중요한 어절부터 늘어놓은 "
    "리스트를 돌려주는 함수를 쓰십시오.",
    "어절마다 원래 확률에서 바꾸었을 때의 확률을 뺀 값을 구해 sorted(..., reverse=True)로 "
    "정렬합니다.",
    most_important,
    _check_important,
    cases=_falls,
)


def topic_particle(word):
    has_final_consonant = (ord(word[-1]) - ord("가")) % 28 > 0
    return "은" if has_final_consonant else "는"


def _check_particle(answer):
    cases = {"영화": "는", "책": "은", "음식": "은", "배우": "는", "호텔": "은", "강의": "는"}
    got = {word: answer(word) for word in cases}
    if all(got[word] == word + particle for word, particle in cases.items()):
        yield "낱말에 붙이지 말고 조사만 돌려주십시오."
    elif got == {word: "는" if particle == "은" else "은" for word, particle in cases.items()}:
        yield "은과 는이 뒤바뀌었습니다. 받침이 있으면 은, 없으면 는입니다."
    else:
        for word, particle in cases.items():
            if got[word] != particle:
                yield f"{word!r} 뒤에는 {particle!r}이 와야 하는데 {got[word]!r}입니다."
                return


def _words(draw):
    for _ in range(25):
        letters = [chr(draw.randint(ord("가"), ord("힣"))) for _ in range(draw.randint(1, 4))]
        yield ("".join(letters),)


q6 = Exercise(
    "낱말을 받아 뒤에 붙을 보조사 '은' 또는 '는'을 돌려주는 함수를 쓰십시오.",
    "한글 음절의 번호 ord(글자) - ord('가')를 28로 나눈 나머지가 0이면 받침이 없습니다.",
    topic_particle,
    _check_particle,
    cases=_words,
)


def bias_of_attribute(with_attribute, without):
    logs = [math.log(a / b) for a, b in zip(with_attribute, without, strict=True)]
    return statistics.pvariance(logs)


def _check_bias(answer):
    case = ([0.02, 0.08, 0.01], [0.04, 0.04, 0.04])
    expected = bias_of_attribute(*case)
    got = answer(*map(list, case))
    neutral = answer([0.02, 0.06], [0.01, 0.03])
    if not isinstance(got, int | float):
        yield f"수 하나를 돌려주어야 하는데 {type(got).__name__}을(를) 돌려주었습니다."
    elif math.isclose(got, statistics.variance(map(math.log, (0.5, 2, 0.25)))):
        yield "집단 전체의 분산이므로 n - 1이 아니라 n으로 나눕니다(statistics.pvariance)."
    elif math.isclose(got, statistics.pvariance((0.5, 2, 0.25))):
        yield "나눈 값에 로그를 씌우지 않았습니다."
    elif math.isclose(got, expected / math.log(2) ** 2):
        yield "밑이 2인 로그를 썼습니다. 자연로그(math.log)를 쓰십시오."
    elif not math.isclose(neutral, 0, abs_tol=1e-9):
        yield (
            "모든 집단의 확률이 똑같이 두 배가 되면 0이어야 합니다. "
            "속성이 없을 때의 확률로 나누었는지 보십시오."
        )
    elif not math.isclose(got, expected):
        yield f"시험에서 {expected:.4f}이어야 하는데 {got:.4f}입니다."


def _probabilities(draw):
    for _ in range(20):
        groups = draw.randint(1, 6)
        yield tuple([draw.randint(1, 999) / 1000 for _ in range(groups)] for _ in range(2))


q7 = Exercise(
    "집단마다 속성이 있을 때와 없을 때의 확률을 받아 자연로그를 씌운 비율의 분산을 돌려주는 함수를 "
    "쓰십시오.",
    "zip으로 함께 돌면서 math.log(a / b)를 모으고, statistics.pvariance로 분산을 구합니다.",
    bias_of_attribute,
    _check_bias,
    cases=_probabilities,
)
