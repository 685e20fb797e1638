import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may wait for a network
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for tiny models a second thread mostly waits

import pytest


@pytest.fixture
def profile(monkeypatch):
    """profile("full") chooses a profile for one test; what it changes is put back afterwards."""
    monkeypatch.setenv("HF_HUB_OFFLINE", os.environ["HF_HUB_OFFLINE"])

    def choose(name: str) -> None:
        monkeypatch.setenv("COURSE_PROFILE", name)

    yield choose
    from helpers.course import set_offline

    set_offline(True)
