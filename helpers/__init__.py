"""Helpers of the Korean BERT course: what would be in the way of a notebook's story."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class CourseError(Exception):
    """An error a learner can cause; the message is one Korean sentence that says what to do.

    A notebook shows only the sentence, the command line prints it and exits with code 2.
    """

    def _render_traceback_(self):
        return [f"오류: {self}"]
