import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import datasets
import huggingface_hub
import pandas
import pytest
import torch
from huggingface_hub import errors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    BertTokenizerFast,
)

from helpers import CourseError, resources
from helpers.course import set_offline
from helpers.resources import CATALOGUE, Resource

CONTENT = bytes(range(256)) * 2000


# --- the catalogue and the embedded files --------------------------------------------------------


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=list(CATALOGUE))
def test_catalogue_entry_can_be_verified(entry):
    assert (entry.path is None) != (entry.url is None)
    assert entry.kind in ("model", "text", "table")
    assert entry.description and entry.licence and entry.rows
    if entry.url and entry.url.startswith("https:"):
        assert len(bytes.fromhex(entry.sha256)) == 32
    if entry.url and entry.url.startswith("hub:"):
        assert len(bytes.fromhex(entry.revision)) == 20  # a commit, not a branch that moves
    if entry.fallback:
        assert CATALOGUE[entry.fallback].path and CATALOGUE[entry.fallback].kind == entry.kind


EMBEDDED = [entry.name for entry in CATALOGUE.values() if entry.path]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_resource_is_there(name):
    assert resources.data_path(name).exists()
    if CATALOGUE[name].kind == "text":
        assert resources.data_files(name)
    if CATALOGUE[name].kind == "model":
        assert resources.load_model(BertModel, name).dtype == torch.float32


def test_embedded_files_are_as_named_in_the_sums():
    assert resources.changed_files() == []


def test_sums_notice_every_change(tmp_path, monkeypatch):
    monkeypatch.setattr(resources.sums, "DATA", tmp_path)
    for name in ("same.txt", "edited.txt", "lost.txt"):
        (tmp_path / name).write_bytes(b"1\n")
    assert resources.changed_files() == ["edited.txt", "lost.txt", "same.txt"]
    resources.write_sums()
    assert resources.changed_files() == []
    digest = hashlib.sha256(b"1\n").hexdigest()
    assert f"{digest}  same.txt\n" in (tmp_path / "SHA256SUMS").read_text()
    (tmp_path / "edited.txt").write_bytes(b"1\r\n")
    (tmp_path / "lost.txt").unlink()
    (tmp_path / "new.txt").write_bytes(b"1\n")
    assert resources.changed_files() == ["edited.txt", "lost.txt", "new.txt"]


def test_lost_embedded_resource_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(resources.download, "DATA", tmp_path)
    with pytest.raises(CourseError, match="data/korean_pretraining/law.*다시 받으십시오"):
        resources.data_path("law-documents")


# --- downloads -----------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`; `server.cuts` answers stop half-way, until `server.hold` is set."""

    def do_GET(self):
        server = self.server
        server.asked += 1
        if server.status != 200:
            return self.send_error(server.status)
        body = server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = server.cuts > 0
        server.cuts -= cut
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            server.hold.wait(60)
            self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A web server on this machine, and a catalogue whose 'file' is on it."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.status, server.cuts = CONTENT, 200, 0
    server.asked, server.hold = 0, threading.Event()
    server.hold.set()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    entry = Resource(
        "file",
        "table",
        "시험",
        "CC0",
        "1",
        url=f"http://127.0.0.1:{server.server_port}/file.csv",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setitem(CATALOGUE, "file", entry)
    yield server
    server.hold.set()
    server.shutdown()
    server.server_close()


def cached() -> list[str]:
    folder = resources.cache_folder()
    names = os.listdir(folder) if folder.exists() else []
    return sorted(name for name in names if not name.endswith(".lock"))


def test_download_is_checked_and_kept(server):
    path = resources.fetch("file")
    assert path.read_bytes() == CONTENT
    assert resources.fetch("file") == path
    assert server.asked == 1
    assert cached() == ["file.csv"]


@pytest.mark.parametrize(
    "state, words",
    [
        ({"cuts": 1}, "도중에 연결이 끊겼습니다"),
        ({"content": CONTENT[:-1] + b"x"}, "sha256과 다릅니다"),
        ({"content": CONTENT[: len(CONTENT) // 2]}, "sha256과 다릅니다"),
        ({"status": 404}, "오류 404"),
    ],
    ids=["truncated", "wrong", "short", "missing"],
)
def test_bad_download_is_one_sentence_and_leaves_nothing(server, state, words):
    vars(server).update(state)
    with pytest.raises(CourseError, match=words) as raised:
        resources.fetch("file")
    assert not isinstance(raised.value, resources.NoNetwork)
    assert "\n" not in str(raised.value) and "python -m helpers fetch file" in str(raised.value)
    assert cached() == []
    server.content, server.status = CONTENT, 200
    assert resources.fetch("file").read_bytes() == CONTENT


def test_stalled_download_is_one_sentence_and_leaves_nothing(server, monkeypatch):
    monkeypatch.setattr(resources.download, "TIMEOUT", (10, 0.2))
    server.cuts = 1
    server.hold.clear()
    with pytest.raises(resources.NoNetwork, match="연결할 수 없어 file을"):
        resources.fetch("file")
    assert cached() == []


def test_full_disk_is_one_sentence_and_leaves_nothing(server):
    limits = pytest.importorskip("resource")  # a limit on the size of a file stands in for the disk
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (len(CONTENT) // 2, hard))
    try:
        with pytest.raises(CourseError, match="캐시 폴더에 쓸 수 없습니다"):
            resources.fetch("file")
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    assert cached() == []


def test_damaged_cache_is_repaired(server):
    path = resources.fetch("file")
    path.write_bytes(CONTENT[:100])
    assert resources.fetch("file").read_bytes() == CONTENT
    path.write_bytes(CONTENT[:100])
    server.status = 500
    with pytest.raises(CourseError, match="오류 500"):
        resources.fetch("file")
    server.status = 200  # what is damaged is never used
    assert resources.fetch("file").read_bytes() == CONTENT


def test_cache_that_cannot_be_written_is_one_sentence(server, tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "occupied"))
    with pytest.raises(CourseError, match="캐시 폴더에 쓸 수 없습니다"):
        resources.fetch("file")


# --- no network ----------------------------------------------------------------------------------


@pytest.fixture
def nothing_listens(server, monkeypatch):
    """'file' with an embedded fallback, on a server that is gone."""
    server.shutdown()
    server.server_close()
    entry = CATALOGUE["file"]
    fields = {**vars(entry), "fallback": "korean-documents"}
    monkeypatch.setitem(CATALOGUE, "file", Resource(**fields))


def test_without_network_local_falls_back_and_says_so(nothing_listens, profile, capsys):
    profile("local")
    assert resources.data_path("file") == resources.data_path("korean-documents")
    assert capsys.readouterr().out.startswith("file: 네트워크 없이")
    assert cached() == []


def test_without_network_full_is_one_sentence(nothing_listens, profile):
    profile("full")
    with pytest.raises(CourseError, match="연결할 수 없어 file을"):
        resources.data_path("file")
    assert cached() == []


def test_ci_never_downloads_what_has_a_fallback(server, profile, monkeypatch):
    profile("ci")
    fields = {**vars(CATALOGUE["file"]), "fallback": "korean-documents"}
    monkeypatch.setitem(CATALOGUE, "file", Resource(**fields))
    assert resources.data_path("file") == resources.data_path("korean-documents")
    assert server.asked == 0


# --- the hub -------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch, profile):
    """A stand-in for the hub's snapshots: returns `hub.folder`, or raises `hub.error`."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    hub = SimpleNamespace(folder=tmp_path / "hub", error=None, asked=[])
    hub.folder.mkdir()

    def snapshot_download(repository, **options):
        hub.asked.append((repository, options))
        if hub.error:
            raise hub.error
        return str(hub.folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return hub


def test_wikipedia_becomes_sentences_and_documents(hub, profile):
    profile("full")
    articles = ["물은 액체이다. 얼면 얼음이 된다.\n\n같이 보기\n* 얼음", "표만 있다", "가다. 나다!"]
    (hub.folder / "20231101.ko").mkdir()
    pandas.DataFrame({"text": articles}).to_parquet(hub.folder / "20231101.ko" / "0.parquet")
    left = resources.cache_folder() / ".korean-wikipedia"  # by a process that was killed
    left.mkdir(parents=True)
    (left / "korean-wikipedia.txt").write_text("물", encoding="utf-8")
    path = resources.data_path("korean-wikipedia")
    assert not left.exists()
    text = "물은 액체이다.\n얼면 얼음이 된다.\n\n가다.\n나다!\n\n"
    assert path.read_bytes().decode() == text
    assert resources.data_path("korean-wikipedia") == path
    ((repository, options),) = hub.asked  # once: the second call reads the cache
    assert repository == "wikimedia/wikipedia"
    assert options["revision"] == CATALOGUE["korean-wikipedia"].revision


def test_klue_re_becomes_files_with_named_labels(hub, profile):
    profile("full")
    (hub.folder / "re").mkdir()
    entity = {"word": "가", "start_idx": 0, "end_idx": 0, "type": "PER"}
    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "subject_entity": {k: datasets.Value("string") for k in ("word", "type")}
            | {k: datasets.Value("int32") for k in ("start_idx", "end_idx")},
            "label": datasets.ClassLabel(names=["no_relation", "org:dissolved"]),
        }
    )
    for split, labels in (("train", [1, 0]), ("validation", [0])):
        rows = [{"sentence": "가나", "subject_entity": entity, "label": i} for i in labels]
        table = datasets.Dataset.from_list(rows, features=features)
        table.to_parquet(hub.folder / "re" / f"{split}-00000-of-00001.parquet")
    folder = resources.data_path("klue-re")
    assert sorted(path.name for path in folder.iterdir()) == ["test.json", "train.json"]
    train = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    assert [row["label"] for row in train] == ["org:dissolved", "no_relation"]
    assert train[0]["subject_entity"] == entity
    assert resources.data_path("klue-re") == folder
    ((repository, options),) = hub.asked  # once: the second call reads the cache
    assert repository == "klue/klue" and options["allow_patterns"] == ["re/*.parquet"]
    assert options["revision"] == CATALOGUE["klue-re"].revision


def test_hub_model_comes_without_pickles(hub, profile, tiny):
    profile("full")
    hub.folder = tiny
    resources.load_model(BertForMaskedLM, "bert-base-multilingual-cased")
    resources.load_tokenizer("someone/another-bert")
    assert [repository for repository, _ in hub.asked] == [
        "google-bert/bert-base-multilingual-cased",
        "someone/another-bert",
    ]
    for _, options in hub.asked:
        assert options["allow_patterns"] == ["*.json", "*.txt", "*.safetensors"]
    pinned = CATALOGUE["bert-base-multilingual-cased"].revision
    assert [options.get("revision") for _, options in hub.asked] == [pinned, None]


def test_hub_without_network(hub, profile, capsys):
    hub.error = errors.LocalEntryNotFoundError("no network")
    profile("local")
    set_offline(False)
    assert resources.data_path("korean-wikipedia") == resources.data_path("korean-documents")
    assert capsys.readouterr().out.startswith("korean-wikipedia: 네트워크 없이")
    assert huggingface_hub.is_offline_mode()  # or the libraries would wait for a network
    profile("full")
    with pytest.raises(resources.NoNetwork):
        resources.data_path("korean-wikipedia")


def test_unknown_hub_name_is_one_sentence(hub, profile):
    profile("full")
    response = SimpleNamespace(headers={}, request=None)
    hub.error = errors.RepositoryNotFoundError("404", response=response)
    with pytest.raises(CourseError, match="'nobody/nothing'.*이름을 확인하십시오"):
        resources.load_tokenizer("nobody/nothing")


@pytest.mark.skipif(os.name == "nt", reason="the hub's cache has no links on Windows")
def test_damaged_files_of_the_hub_are_deleted(hub, profile, tmp_path):
    profile("full")
    blobs = [tmp_path / "blobs" / (digits * length) for digits, length in (("0", 40), ("1", 64))]
    for blob, name in zip(blobs, ("config.json", "model.safetensors"), strict=True):
        blob.parent.mkdir(exist_ok=True)
        blob.write_text("not what the hub's cache named so")
        (hub.folder / name).symlink_to(blob)
    with pytest.raises(CourseError, match="someone/bert.*해시"):
        resources.load_tokenizer("someone/bert")
    assert not any(blob.exists() for blob in blobs)


# --- model and tokenizer belong together ---------------------------------------------------------

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "".join(resources.ORDINARY_KOREAN)


def make_tokenizer(specials=SPECIAL, letters=LETTERS):
    letters = sorted(set(letters.replace(" ", "")))
    pieces = [*specials, *letters, *(f"##{letter}" for letter in letters)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    return BertTokenizerFast(vocab=vocab, do_lower_case=False)


def make_model(rows: int, **config):
    config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, **config}
    return BertForPreTraining(BertConfig(vocab_size=rows, intermediate_size=8, **config))


@pytest.fixture
def tiny(tmp_path):
    """A folder with a tiny BERT in half precision and its tokenizer."""
    folder = tmp_path / "tiny"
    tokenizer = make_tokenizer()
    make_model(len(tokenizer)).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_matching_pair_is_loaded(tiny):
    model = resources.load_model(BertForMaskedLM, tiny)
    tokenizer = resources.load_tokenizer(str(tiny))
    assert model.dtype == torch.float32 and not model.training
    assert tokenizer.tokenize("오늘은") == ["오", "##늘", "##은"]
    half = resources.load_model(BertForMaskedLM, tiny, dtype=torch.float16)
    assert half.dtype == torch.float16


def test_another_vocabulary_is_refused(tiny):
    make_tokenizer(letters=LETTERS + "뷁").save_pretrained(tiny)
    with pytest.raises(CourseError, match=r"어휘는 \d+개인데 모델의 임베딩은 \d+행"):
        resources.load_model(BertForMaskedLM, tiny)


def test_another_pad_id_is_refused(tiny):
    specials = ["[UNK]", "[PAD]", *SPECIAL[2:]]
    make_tokenizer(specials).save_pretrained(tiny)
    with pytest.raises(CourseError, match=r"\[PAD\].*1.*0"):
        resources.load_model(BertForMaskedLM, tiny)


def test_tokenizer_that_knows_no_korean_is_refused(tiny):
    make_tokenizer(letters="abcdefghij").save_pretrained(tiny)
    with pytest.raises(CourseError, match=r"100%를 \[UNK\]"):
        resources.load_tokenizer(tiny)


def test_the_vocab_file_trap_is_caught(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(make_tokenizer().get_vocab()), encoding="utf-8")
    trapped = BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt"), do_lower_case=False)
    with pytest.raises(CourseError, match="vocab_file"):
        resources.check_tokenizer(trapped)


def test_missing_special_token_is_refused():
    tokenizer = make_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(CourseError, match="mask_token"):
        resources.check_tokenizer(tokenizer)


def test_pickled_weights_are_refused(tiny):
    torch.save({}, tiny / "pytorch_model.bin")
    (tiny / "model.safetensors").unlink()
    with pytest.raises(CourseError, match="safetensors.*save_pretrained"):
        resources.load_model(BertForMaskedLM, tiny)
    (tiny / "other.safetensors").touch()  # nor are they read beside a safetensors of another name
    with pytest.raises(CourseError, match="모델을 읽을 수 없습니다.*safetensors"):
        resources.load_model(BertForMaskedLM, tiny)


def test_damaged_weights_are_one_sentence(tiny):
    weights = tiny / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CourseError, match="모델을 읽을 수 없습니다") as raised:
        resources.load_model(BertForMaskedLM, tiny)
    assert "\n" not in str(raised.value)


def test_folder_without_tokenizer_is_one_sentence(tiny):
    (tiny / "tokenizer.json").unlink()
    with pytest.raises(CourseError, match="토크나이저가 없습니다.*save_pretrained"):
        resources.load_model(BertForMaskedLM, tiny)


@pytest.mark.parametrize("name", ["mini-bert", "nobody/nothing", "./no-folder"])
def test_unknown_model_is_one_sentence(profile, name):
    profile("local")
    with pytest.raises(CourseError, match=f"'{name}'.*mini-bert-ko"):
        resources.load_model(BertForMaskedLM, name)
