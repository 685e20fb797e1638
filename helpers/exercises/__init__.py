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
"""

import dis
import inspect
import textwrap
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

NOT_ATTEMPTED = "아직 풀지 않았습니다. `...` 자리에 답을 쓴 뒤 다시 실행하십시오."
CORRECT = "맞습니다!"


class Exercise:
    """One exercise.

    question, hint: Korean text. solution: a function; if the exercise asks for a function it is
    that function (`asks_function=True`), else a call without arguments returns the answer.
    check: takes an answer and yields Korean messages that say what is wrong; none means correct.
    """

    def __init__(
        self,
        question: str,
        hint: str,
        solution: Callable,
        check: Callable[[Any], Iterable[str]],
        *,
        asks_function: bool = False,
    ):
        self.question = question
        self._hint = hint
        self._solution = solution
        self._check = check
        self._asks_function = asks_function

    def __repr__(self) -> str:
        return self.question

    def check(self, answer: Any = ...) -> None:
        """Print whether the answer is right, or what is wrong with it; never raises."""
        print("\n".join(self.verdict(answer)[1]))

    def hint(self) -> None:
        """Print the hint."""
        print(f"힌트: {self._hint}")

    def solution(self) -> None:
        """Print the source of the solution."""
        print(textwrap.dedent(inspect.getsource(self._solution)).strip())

    def answer(self) -> Any:
        """The right answer, from the same source that `solution` prints."""
        return self._solution if self._asks_function else self._solution()

    def verdict(self, answer: Any) -> tuple[str, list[str]]:
        """verdict(...) -> ('untouched' | 'wrong' | 'correct', messages)."""
        if is_untouched(answer):
            return "untouched", [NOT_ATTEMPTED]
        if self._asks_function and not callable(answer):
            return "wrong", ["함수를 답으로 주십시오. 함수를 부른 결과가 아니라 이름을 씁니다."]
        try:
            messages = list(self._check(answer))
        except Exception as error:  # whatever the learner's code raises becomes a message
            kind = "함수를 실행하는" if callable(answer) else "답을 확인하는"
            return "wrong", [f"{kind} 동안 오류가 났습니다: {type(error).__name__}: {error}"]
        return ("wrong", messages) if messages else ("correct", [CORRECT])


def is_untouched(answer: Any) -> bool:
    """is_untouched([1, ...]) -> True: `...` itself or inside, or a function
    that only says `...`.
    """
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
