import importlib
import pkgutil

import pytest
from exercises_wrong import WRONG

from helpers import exercises
from helpers.exercises import CORRECT, NOT_ATTEMPTED, Exercise, is_untouched

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


def _check_double(function):
    if function(3) == 9:
        yield "제곱이 아니라 두 배입니다."
    elif function(3) != 6:
        yield "3의 두 배는 6입니다."


DOUBLE = Exercise(
    "두 배로 만드십시오.", "더해 보십시오.", _double, _check_double, asks_function=True
)
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
