"""What `full` downloads, from a hub on this machine: it arrives whole, or one sentence says why it
does not.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import hub_content
import huggingface_hub
import pytest
from hub_server import Hub
from huggingface_hub import constants

from helpers import ROOT, CourseError, resources
from helpers.course import set_offline
from helpers.finetuning.data import read_data
from helpers.finetuning.evaluate import TASKS
from helpers.resources import CATALOGUE, sha256

BERT = "bert-base-multilingual-cased"
NAMES = [entry.name for entry in CATALOGUE.values() if entry.url]
PAIRS = (  # task, the embedded set, the public one that is made of it here, what is to be predicted
    ("sentiment", "sentiment-reviews", "nsmc-{split}", "label"),
    ("similarity", "similarity-pairs", "klue-sts", "score"),
    ("entities", "entity-sentences", "klue-ner", "entities"),
    ("reading", "reading-passages", "klue-mrc", "answers"),
)
PAGE = 4096  # the size of a tmpfs is counted in these
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 16,
}


@pytest.fixture(scope="session")
def content(tmp_path_factory):
    """What the servers hold; the model is smaller than the real one."""
    folder = tmp_path_factory.mktemp("hub")
    hub_content.write_all(folder, **SMALL)
    return folder


@pytest.fixture
def use_hub(monkeypatch, content):
    """use_hub(address): the hub, and the servers of plain files, are at this address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")

    def use(address: str) -> None:
        huggingface_hub.utils.close_session()
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        for name, entry in hub_content.moved(content, address).items():
            monkeypatch.setitem(CATALOGUE, name, entry)

    return use


@pytest.fixture
def hub(content, use_hub, profile):
    """The hub that is asked, in profile full."""
    profile("full")
    set_offline(False)
    with Hub(content) as hub:
        use_hub(hub.url)
        yield hub


@pytest.fixture
def caches(monkeypatch, tmp_path):
    """The folder of both caches, empty; nobody waits longer than a second for a server, nor
    before it is asked again.
    """
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(resources.download, "TIMEOUT", (1, 1))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "caches" / "hub"))
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "caches" / "course"))
    return tmp_path / "caches"


# --- everything arrives --------------------------------------------------------------------------


def test_multilingual_bert_in_its_exact_shape(tmp_path):
    """In a new process, as a learner's notebook: the libraries read HF_ENDPOINT when they are
    imported.
    """
    hub_content.write_multilingual_bert(tmp_path / "hub")
    code = (
        "import json; from helpers import resources; from transformers import BertForPreTraining\n"
        "name = 'bert-base-multilingual-cased'\n"
        "model = resources.load_model(BertForPreTraining, name)\n"
        "tokenizer = resources.load_tokenizer(name)\n"
        "norm = set(model.bert.embeddings.LayerNorm.weight.tolist())\n"
        "found = [model.num_parameters(), len(tokenizer), tokenizer.mask_token_id, list(norm)]\n"
        "print(json.dumps(found))"
    )
    with Hub(tmp_path / "hub") as hub:
        full = {"COURSE_PROFILE": "full", "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url}
        full |= {"HF_HOME": str(tmp_path / "caches"), "no_proxy": "127.0.0.1,localhost"}
        command = [sys.executable, "-c", code]
        for asked in (5, 0):  # the second time from the cache
            answer = subprocess.check_output(command, env=os.environ | full, cwd=ROOT, text=True)
            assert json.loads(answer) == [178_566_653, 119_547, 103, [1]]
            files = [path for path in hub.asked if path.startswith("HEAD /google-bert")]
            assert len(files) == asked  # no pickle, no weights of another framework
            hub.asked.clear()


def test_tables_and_texts(hub, caches):
    paths = {name: resources.data_path(name) for name in NAMES if name != BERT}
    assert paths["chatbot-data"].read_text("utf-8").startswith("Q,A,label\n안녕?,")
    for task, embedded, public, wanted in PAIRS:
        for split in ("train", "test"):
            examples, same = (read_data(TASKS[task], name, split) for name in (embedded, public))
            assert [row[wanted] for row in examples] == [row[wanted] for row in same]
    for split in ("train", "test"):
        rows = json.loads((paths["klue-re"] / f"{split}.json").read_text("utf-8"))
        embedded = ROOT / "data" / "entity_bert" / f"{split}.json"
        assert rows == json.loads(embedded.read_text("utf-8"))
    documents = paths["korean-wikipedia"].read_text("utf-8").split("\n\n")
    general = (ROOT / "data/korean_pretraining/general").glob("*.txt")
    sentences = {line for file in general for line in file.read_text("utf-8").splitlines() if line}
    assert len(documents) == 126 + 1  # a blank line ends the last one too
    assert {line for document in documents for line in document.splitlines()} == sentences
    asked = len(hub.asked)
    for name, path in paths.items():
        assert resources.data_path(name) == path
    assert len(hub.asked) == asked


# --- eight faults --------------------------------------------------------------------------------

WORDS = {
    "stall": "연결",
    "break off": "연결",
    "wrong hash": "해시|sha256",
    "401": "권한|오류 401",
    "404": "오류 404",
    "500": "오류 500",
}


def fails(name: str, capfd) -> str:
    """The one sentence with which a download fails in bounded time."""
    capfd.readouterr()
    began = time.monotonic()
    with pytest.raises(CourseError) as raised:
        resources.fetch(name)
    assert time.monotonic() - began < 60
    sentence = str(raised.value)
    assert name in sentence and re.fullmatch(r"[^\n]*[가-힣]\.", sentence), sentence
    printed = "".join(capfd.readouterr())
    assert not re.search(r"Traceback|Warning|[Ee]rror|retry", printed), printed
    return sentence


def contents(path: Path) -> list[str]:
    """The hashes of a file, or of the files of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sorted(map(sha256, files))


@pytest.fixture(scope="session")
def whole():
    """{name: hashes of what a healthy download gives}, filled by `recovers`."""
    return {}


@pytest.fixture
def recovers(hub, caches, whole, monkeypatch):
    """recovers(name): no half file is left; once the hub is well the same caches are filled."""

    def check(name: str) -> None:
        left = [file for file in caches.rglob("*") if file.suffix in (".part", ".incomplete")]
        assert not left
        hub.heal()
        filled = contents(resources.fetch(name))
        if name not in whole:  # into caches that were always empty
            monkeypatch.setattr(constants, "HF_HUB_CACHE", str(caches / "other" / "hub"))
            monkeypatch.setenv("COURSE_CACHE", str(caches / "other" / "course"))
            whole[name] = contents(resources.fetch(name))
        assert filled == whole[name]

    return check


@pytest.mark.parametrize("fault", WORDS)
@pytest.mark.parametrize("name", NAMES)
def test_fault_while_the_content_comes(name, fault, hub, recovers, capfd):
    on_hub = CATALOGUE[name].url.startswith("hub:")
    hub.fault, hub.where = fault, "/lfs/" if on_hub else "/master/"
    assert re.search(WORDS[fault], fails(name, capfd))
    recovers(name)


@pytest.mark.parametrize("where", ["/api/models", "/resolve/", "vocab.txt"])
@pytest.mark.parametrize("fault", WORDS)
def test_fault_before_the_content(fault, where, hub, recovers, capfd):
    hub.fault, hub.where = fault, where
    fails(BERT, capfd)
    recovers(BERT)


@pytest.mark.parametrize("name", NAMES)
def test_refused_connection(name, hub, use_hub, recovers, capfd):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and never listens
        use_hub(f"http://127.0.0.1:{unused.getsockname()[1]}")
        start = time.monotonic()
        assert f"네트워크에 연결할 수 없어 {name}" in fails(name, capfd)
        assert time.monotonic() - start < 5
    use_hub(hub.url)
    recovers(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_fetched_needs_no_server(name, hub, use_hub, caches):
    folder = resources.data_path(name)
    use_hub("http://127.0.0.1:9")
    assert resources.data_path(name) == folder


@pytest.fixture
def small_disk(caches):
    """small_disk(bytes) gives the caches a disk of this size, small_disk() a large one."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root of Linux may mount a file system")
    caches.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", caches], check=True)

    def resize(size: int = 1 << 30) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", caches], check=True)

    yield resize
    subprocess.run(["umount", caches], check=True)


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("name", NAMES)
def test_full_disk(name, share, small_disk, caches, hub, recovers, capfd):
    resources.fetch(name)
    files = [file for file in caches.rglob("*") if file.is_file() and not file.is_symlink()]
    size = sum(file.stat().st_size for file in files)
    for folder in caches.iterdir():
        shutil.rmtree(folder)
    small_disk(max(1, int(size * share) // PAGE) * PAGE)  # a disk of no page has no limit
    assert "쓸 수 없습니다" in fails(name, capfd)
    small_disk()
    recovers(name)
