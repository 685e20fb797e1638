"""Exercises: `q.q1.check(answer)`, `q.q1.hint()`, `q.q1.solution()`.

One definition is the only source: the solution that is printed is the function that the tests run.

    def _solution():
        return 2 + 3

    def _check(answer):
        if answer == 23:
            yield "문자열을 이어 붙였습니다. 수로 더하십시오."
        elif answer != 5:
            yield "2와 3을 더한 값이 아닙니다."

    q1 = Exercise("2 더하기 3은 얼마입니까?", "손가락으로 셀 수 있습니다.", _solution, _check)

`check` knows the typical mistakes; what it lets through is compared with the solution: a value as
it is, a function on random cases.
"""

import copy
import dis
import inspect
import math
import os
import random
import signal
import textwrap
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from numbers import Number
from types import FunctionType
from typing import Any

NOT_ATTEMPTED = "아직 풀지 않았습니다. `...` 자리에 답을 쓴 뒤 다시 실행하십시오."
CORRECT = "맞습니다!"
SECONDS = 10  # for one check; every solution needs well under one
GRADING = "COURSE_GRADING"  # set by `python -m helpers grade`
RESULT = "application/vnd.course.exercise+json"


class Exercise:
    """One exercise.

    question, hint: Korean text. check: takes an answer and yields Korean messages that say what is
    wrong; none means correct. solution: a call without arguments returns the answer; where the
    exercise asks for a function it is that function, and cases(random.Random) yields the arguments,
    as tuples, on which an answer is compared with it.
    """

    def __init__(
        self,
        question: str,
        hint: str,
        solution: Callable,
        check: Callable[[Any], Iterable[str]],
        *,
        cases: Callable[[random.Random], Iterable[tuple]] | None = None,
    ):
        self.question = question
        self._hint = hint
        self._solution = solution
        self._check = check
        self._cases = cases

    def __repr__(self) -> str:
        return self.question

    def check(self, answer: Any = ...) -> None:
        """Print whether the answer is right, or what is wrong with it; never raises."""
        status, messages = self.verdict(answer)
        print("\n".join(messages))
        if os.environ.get(GRADING):
            from IPython.display import display

            result = {"question": self.question, "status": status, "message": " ".join(messages)}
            display({"text/plain": status, RESULT: result}, raw=True)

    def hint(self) -> None:
        """Print the hint."""
        print(f"힌트: {self._hint}")

    def solution(self) -> None:
        """Print the source of the solution."""
        print(textwrap.dedent(inspect.getsource(self._solution)).strip())

    def answer(self) -> Any:
        """The right answer, from the same source that `solution` prints."""
        return self._solution() if self._cases is None else self._solution

    def verdict(self, answer: Any) -> tuple[str, list[str]]:
        """verdict(...) -> ('untouched' | 'wrong' | 'correct', messages)."""
        if is_untouched(answer):
            return "untouched", [NOT_ATTEMPTED]
        if self._cases is not None and not callable(answer):
            return "wrong", ["함수를 답으로 주십시오. 함수를 부른 결과가 아니라 이름을 씁니다."]
        try:
            with time_limit(SECONDS):
                messages = self._messages(answer)
        except TookTooLong:
            messages = [
                f"{SECONDS}초 안에 끝나지 않았습니다. 끝나지 않는 반복이 있는지 살펴보십시오."
            ]
        except Exception as error:  # an answer may be anything, also what cannot be compared
            messages = [f"답을 확인하는 동안 {shown_error(error)}"]
        return ("wrong", messages) if messages else ("correct", [CORRECT])

    def _messages(self, answer: Any) -> list[str]:
        """What is wrong: what `check` knows about it, else the first difference found."""
        stumbled = None
        try:
            if messages := list(self._check(answer)):
                return messages
        except (Exception, SystemExit) as error:  # the answer raised, or is of another type
            stumbled = error
        if self._cases is None:
            return difference(answer, self.answer())
        # Seeded with the question: the same cases at every check, others for every exercise.
        for case in self._cases(random.Random(self.question)):
            if messages := difference_on(answer, self._solution, case):
                return messages
        return [f"함수를 실행하는 동안 {shown_error(stumbled)}"] if stumbled else []


def wrong_number(got: Any, right: float, typical: dict[float, str], otherwise: str):
    """For a `check`: which of the typical mistakes {number: message} a number is.

    otherwise: what is said of any other wrong number, which stands at its "{}".
    """
    if not isinstance(got, int | float):
        yield f"수 하나를 돌려주어야 하는데 {type(got).__name__}을(를) 돌려주었습니다."
    elif not math.isclose(got, right):
        mistakes = [text for number, text in typical.items() if math.isclose(got, number)]
        yield mistakes[0] if mistakes else otherwise.format(got)


class TookTooLong(BaseException):
    """No Exception: an answer's own `except Exception` must not swallow it."""


@contextmanager
def time_limit(seconds: float):
    """Raise TookTooLong in a block that does not end.

    Does nothing on Windows, which has no alarm, and outside the main thread, which alone gets it.
    """
    main = threading.current_thread() is threading.main_thread()
    if not (main and hasattr(signal, "SIGALRM")):
        yield
        return

    def stop(*_):
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def difference_on(function: Callable, solution: Callable, case: tuple) -> list[str]:
    """In which way a function differs from the solution on one case; [] if it does not."""
    names = inspect.signature(solution).parameters
    where = ", ".join(f"{name}={shown(value)}" for name, value in zip(names, case, strict=True))
    given, right = copy.deepcopy(case), solution(*copy.deepcopy(case))
    try:
        got = function(*given)
    except (Exception, SystemExit) as error:
        return [f"{where}에서 함수를 실행하는 동안 {shown_error(error)}"]
    if not same(given, case):
        return [f"{where}에서 함수가 받은 값을 고쳤습니다. 복사한 것을 고쳐서 돌려주십시오."]
    if got is None:
        return [f"{where}에서 아무것도 돌려주지 않았습니다. 함수의 끝에 return을 쓰십시오."]
    return [f"{where}에서 {message}" for message in difference(got, right)]


def difference(got: Any, right: Any) -> list[str]:
    """difference(2, 3) -> ["3이어야 하는데 2입니다."]; of another type only the type is shown."""
    if same(got, right):
        return []
    if kind(got) != kind(right):
        return [f"{kind(right)} 형식의 값이어야 하는데 {type(got).__name__} 형식입니다."]
    return [f"{shown(right)}이어야 하는데 {shown(got)}입니다."]


def kind(value: Any) -> str:
    """kind((1, 2)) -> "list": what is interchangeable as an answer has one name."""
    if isinstance(value, list | tuple):
        return "list"
    return "수(number)" if isinstance(value, Number) else type(value).__name__


def same(got: Any, right: Any) -> bool:
    """Equal up to rounding; lists, tuples and arrays of the same numbers are alike."""
    if hasattr(right, "shape") and not (
        isinstance(got, type(right)) and tuple(got.shape) == tuple(right.shape)
    ):
        return False  # who is asked for a tensor must give one
    got, right = (v.tolist() if hasattr(v, "tolist") else v for v in (got, right))
    if isinstance(right, Number) and isinstance(got, Number):
        return math.isclose(got, right, rel_tol=1e-5, abs_tol=1e-6)
    if isinstance(right, list | tuple) and isinstance(got, list | tuple):
        return len(got) == len(right) and all(map(same, got, right))
    if isinstance(right, dict) and isinstance(got, dict):
        return got.keys() == right.keys() and all(same(got[key], right[key]) for key in right)
    return type(got) is type(right) and got == right


def shown(value: Any) -> str:
    """shown(0.123456) -> "0.1235"; arrays as lists, sets in order: short, and always the same."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ("[{}]" if isinstance(value, list) else "({})").format(", ".join(map(shown, value)))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in value.items()) + "}"
    return (
        "{" + ", ".join(map(repr, sorted(value))) + "}" if isinstance(value, set) else repr(value)
    )


def shown_error(error: BaseException) -> str:
    return f"오류가 났습니다: {type(error).__name__}: {error}"


def is_untouched(answer: Any) -> bool:
    """is_untouched([1, ...]) -> True: `...` itself or inside, or a function that is only `...`."""
    if answer is Ellipsis:
        return True
    if isinstance(answer, dict):
        return any(is_untouched(value) for value in answer.values())
    if isinstance(answer, list | tuple):
        return any(value is Ellipsis for value in answer)
    if isinstance(answer, FunctionType):
        idle = {"RESUME", "NOP", "RETURN_VALUE"}
        return all(
            step.opname in idle
            or (step.opname in ("LOAD_CONST", "RETURN_CONST") and step.argval in (None, ...))
            for step in dis.get_instructions(answer)
        )
    return False
