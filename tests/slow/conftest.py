"""Tests that take minutes, or need what not every machine has.

Not part of `make test`: they are collected only where this folder is named, as `make test-all`
does.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent


def pytest_ignore_collect(collection_path, config):
    """`pytest tests` stays fast; `pytest tests/slow` runs these tests."""
    named = any(
        Path(argument.split("::")[0]).resolve().is_relative_to(HERE) for argument in config.args
    )
    return None if named else True
