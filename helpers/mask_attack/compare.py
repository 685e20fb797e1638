"""Are two attacks really different? Comparisons on the same reviews, and at equal similarity."""

import math
from collections.abc import Sequence

from helpers import CourseError
from helpers.mask_attack.attack import Attack


def success_curve(results: Sequence[Attack], thresholds: Sequence[float]) -> list[float]:
    """Share of the attacked reviews whose successful text is at least so similar, per threshold.

    The attacks are not run again: with a stricter filter an attack would have gone on looking, so
    that the curve is a lower bound for that. NaN where no review was attacked.
    """
    attacked = [r for r in results if r.predicted == r.label]
    if not attacked:
        return [float("nan")] * len(thresholds)
    reached = [r.similarity if r.success else -2.0 for r in attacked]  # below every cosine
    return [sum(value >= least for value in reached) / len(attacked) for least in thresholds]


def stands(result: Attack) -> bool:
    """The classifier was right about the review, and still is after the attack."""
    return result.predicted == result.label and not result.success


def paired_test(first: Sequence[bool], second: Sequence[bool]) -> dict[str, float]:
    """paired_test([1, 1, 1, 0], [0, 0, 1, 0]) -> n 4, first_only 2, second_only 0, p 0.5

    McNemar's exact test for two yes-or-no outcomes of the same reviews: only those on which they
    differ count, and by chance each falls to either side like a coin. Raises CourseError for
    outcomes of different number.
    Source: McNemar 1947; Dror et al. 2018, "The Hitchhiker's Guide to Testing Statistical
    Significance in NLP".
    """
    if len(first) != len(second):
        raise CourseError(
            f"같은 후기의 결과를 짝지어야 하는데 {len(first)}개와 {len(second)}개입니다."
        )
    only_first = sum(bool(a) and not b for a, b in zip(first, second, strict=True))
    only_second = sum(bool(b) and not a for a, b in zip(first, second, strict=True))
    differ, rarer = only_first + only_second, min(only_first, only_second)
    p = 2 * sum(math.comb(differ, k) for k in range(rarer + 1)) / 2**differ  # of a fair coin
    counts = {"n": len(first), "first_only": only_first, "second_only": only_second}
    return counts | {"p": min(1.0, p)}
