import importlib
import inspect
import math
import pkgutil
import signal

import numpy as np
import pytest
from exercises_wrong import ONLY_FIXED, WRONG

from helpers import exercises
from helpers.exercises import CORRECT, NOT_ATTEMPTED, Exercise, is_untouched, same

LESSONS = [module.name for module in pkgutil.iter_modules(exercises.__path__)]


def find_exercises() -> dict[str, Exercise]:
    """{"korean_pretraining.q1": Exercise, ...} for every module of helpers/exercises."""
    found = {}
    for lesson in LESSONS:
        module = importlib.import_module(f"helpers.exercises.{lesson}")
        for name, value in vars(module).items():
            if isinstance(value, Exercise):
                found[f"{lesson}.{name}"] = value
    return found


EXERCISES = find_exercises()
WRONG_ANSWERS = {
    f"{lesson}.{name}": answers
    for lesson, table in WRONG.items()
    for name, answers in table.items()
}
each_exercise = pytest.mark.parametrize("name", EXERCISES)


@each_exercise
def test_solution_passes(name):
    exercise = EXERCISES[name]
    assert exercise.verdict(exercise.answer()) == ("correct", [CORRECT])


@each_exercise
def test_untouched_is_not_attempted(name, capsys):
    check_untouched(EXERCISES[name], capsys)


def check_untouched(exercise, capsys):
    def untouched(*arguments):
        """A docstring does not make it an answer."""
        ...

    exercise.check(...)
    exercise.check(untouched)
    exercise.check()
    assert capsys.readouterr().out.splitlines() == [NOT_ATTEMPTED] * 3


@each_exercise
def test_typical_wrong_answers_are_refused(name):
    wrong = WRONG_ANSWERS.get(name, [])
    assert len(wrong) >= 2, "tests/exercises_wrong.py needs two typical wrong answers"
    for answer, part in wrong:
        status, messages = EXERCISES[name].verdict(answer)
        assert status == "wrong" and part in " ".join(messages), (answer, messages)


FUNCTIONS = [name for name, exercise in EXERCISES.items() if exercise._cases is not None]
each_function = pytest.mark.parametrize("name", FUNCTIONS)


@each_function
def test_what_is_right_on_the_fixed_cases_alone_is_refused(name):
    lesson, number = name.split(".")
    exercise, answer = EXERCISES[name], ONLY_FIXED[lesson][number]
    assert not list(exercise._check(answer))
    status, (message,) = exercise.verdict(answer)
    assert status == "wrong"
    assert next(iter(inspect.signature(exercise._solution).parameters)) + "=" in message
    assert "이어야 하는데" in message or "오류가 났습니다" in message


@each_function
def test_who_knows_only_the_fixed_cases_is_refused(name):
    """An answer that looks up what the exercise's own check asks passes that check, but not all."""
    exercise, known = EXERCISES[name], {}

    def learn(*arguments):
        return known.setdefault(repr(arguments), exercise._solution(*arguments))

    assert not list(exercise._check(learn))

    def know(*arguments):
        return known.get(repr(arguments), next(iter(known.values())))

    assert not list(exercise._check(know))
    status, (message,) = exercise.verdict(know)
    assert status == "wrong"
    assert next(iter(inspect.signature(exercise._solution).parameters)) + "=" in message
    assert "이어야 하는데" in message


@each_exercise
def test_hint_and_solution_are_printed(name, capsys):
    exercise = EXERCISES[name]
    exercise.hint()
    assert len(capsys.readouterr().out) > len("힌트: \n")
    exercise.solution()
    compile(capsys.readouterr().out, name, "exec")  # what is printed can be run
    assert repr(exercise)


def test_every_wrong_answer_belongs_to_an_exercise():
    assert WRONG_ANSWERS.keys() <= EXERCISES.keys()


# --- the class itself ----------------------------------------------------------------------------


def _double(number):
    return 2 * number


def _numbers(draw):
    yield from [(draw.randint(-9, 9),) for _ in range(5)]


def _check_double(function):
    if function(3) == 9:
        yield "제곱이 아니라 두 배입니다."
    elif function(3) != 6:
        yield "3의 두 배는 6입니다."


DOUBLE = Exercise("두 배로 만드십시오.", "더해 보십시오.", _double, _check_double, cases=_numbers)
FIVE = Exercise("2 + 3?", "손가락.", lambda: 5, lambda x: [] if x == 5 else ["5가 아닙니다."])


def test_messages_tell_what_is_wrong(capsys):
    DOUBLE.check(_double)
    DOUBLE.check(lambda number: number**2)
    DOUBLE.check(lambda number: number)
    FIVE.check(5)
    FIVE.check(6)
    assert capsys.readouterr().out.splitlines() == [
        CORRECT,
        "제곱이 아니라 두 배입니다.",
        "3의 두 배는 6입니다.",
        CORRECT,
        "5가 아닙니다.",
    ]


def test_untouched_double_is_not_attempted(capsys):
    check_untouched(DOUBLE, capsys)


def test_error_in_the_learners_code_is_a_message():
    status, (message,) = DOUBLE.verdict(lambda number: number / 0)
    assert status == "wrong" and "ZeroDivisionError" in message
    status, (message,) = DOUBLE.verdict(6)
    assert status == "wrong" and "함수를 답으로" in message


def test_solution_prints_the_source_the_tests_run(capsys):
    DOUBLE.solution()
    assert capsys.readouterr().out == "def _double(number):\n    return 2 * number\n"
    assert DOUBLE.answer() is _double
    assert FIVE.answer() == 5
    DOUBLE.hint()
    assert capsys.readouterr().out == "힌트: 더해 보십시오.\n"


def untouched_with_comment(a, b=2):
    # 여기에 코드를 쓰십시오.
    ...


def untouched_pass(a):
    """설명."""
    pass


def untouched_return(a):
    return ...


@pytest.mark.parametrize(
    "answer",
    [..., [1, ...], (..., ...), {"a": ...}, {"a": [...]}]
    + [untouched_with_comment, untouched_pass, untouched_return, lambda a: ...],
)
def test_what_is_untouched(answer):
    assert is_untouched(answer)


def touched(a):
    a.append(1)


@pytest.mark.parametrize("answer", [None, 0, [], {}, "...", len, lambda a: a, lambda: 5, touched])
def test_what_is_an_answer(answer):
    assert not is_untouched(answer)


# --- what an answer may do -----------------------------------------------------------------------


def _reversed(letters):
    return letters[::-1]


REVERSE = Exercise(
    "뒤집으십시오.",
    "[::-1]",
    _reversed,
    lambda function: [],
    cases=lambda draw: [(list("가나다"[:length]),) for length in range(4)],
)


def in_place(letters):
    letters.reverse()
    return letters


def forever(letters):
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


def leaves(letters):
    raise SystemExit


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (sorted, "letters=['가', '나']에서 ['나', '가']이어야 하는데 ['가', '나']입니다."),
        (lambda letters: letters[::-1] or None, "letters=[]에서 아무것도 돌려주지 않았습니다"),
        (lambda letters: "".join(letters), "letters=[]에서 list 형식의 값이어야 하는데 str"),
        (in_place, "letters=['가', '나']에서 함수가 받은 값을 고쳤습니다"),
        (
            lambda letters: letters[1],
            "letters=[]에서 함수를 실행하는 동안 오류가 났습니다: IndexError",
        ),
        (lambda: 5, "TypeError"),
        (leaves, "SystemExit"),
    ],
)
def test_the_message_names_the_case_and_what_is_wrong(answer, message):
    status, (said,) = REVERSE.verdict(answer)
    assert status == "wrong" and message in said


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows has no alarm")
def test_an_answer_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(exercises, "SECONDS", 0.2)
    before = signal.getsignal(signal.SIGALRM)
    status, (message,) = REVERSE.verdict(forever)
    assert status == "wrong" and "0.2초 안에 끝나지 않았습니다" in message
    assert signal.getsignal(signal.SIGALRM) is before


def test_an_answer_that_cannot_be_compared_does_not_raise():
    assert FIVE.verdict(5 + 0j)[0] == "wrong"
    assert FIVE.verdict(10**400)[0] == "wrong"


def test_a_value_is_compared_with_the_solution_too():
    exercise = Exercise("2 + 3?", "손가락.", lambda: [5, 5.0], lambda answer: [])
    assert exercise.verdict((5, 5))[0] == "correct"
    assert exercise.verdict([5, 6]) == ("wrong", ["[5, 5]이어야 하는데 [5, 6]입니다."])
    assert exercise.verdict(5) == ("wrong", ["list 형식의 값이어야 하는데 int 형식입니다."])


@pytest.mark.parametrize(
    ("got", "right", "expected"),
    [
        (0.1 + 0.2, 0.3, True),
        (np.float32(0.3), 0.3, True),
        (1, 1.0, True),
        ("1", 1, False),
        (np.array([1, 2]), [1, 2], True),
        ([1, 2], np.array([1, 2]), False),
        (np.array([[1, 2]]), np.array([1, 2]), False),
        ({"a": [1.0]}, {"a": (1,)}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("가", "가", True),
        (None, 0, False),
        (math.nan, 1.0, False),
    ],
)
def test_what_is_the_same_answer(got, right, expected):
    assert same(got, right) is expected
