"""Models and data sets by name: a file embedded in the repository or a verified download.

>>> data_files("korean-documents")      # [Path(".../general/history.txt"), ...]
>>> model = load_model(BertForMaskedLM, "mini-bert-ko")
>>> tokenizer = load_tokenizer("mini-bert-ko")
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
from filelock import FileLock
from safetensors import SafetensorError
from tqdm.auto import tqdm

from helpers import ROOT, CourseError
from helpers.course import profile_name, set_offline

DATA = ROOT / "data"
SUMS = "SHA256SUMS"
BROKEN = (  # a connection that failed and may succeed the next time
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
ORDINARY_KOREAN = (
    "오늘은 날씨가 좋아서 친구와 함께 공원에서 점심을 먹었다.",
    "서울은 한강을 끼고 있는 대한민국의 수도이다.",
    "이 책을 읽으면 언어 모델이 무엇을 배우는지 알 수 있습니다.",
)


@dataclass(frozen=True)
class Resource:
    """One line of the catalogue.

    kind: 'model', 'text' (one sentence a line, a blank line between documents) or 'table'.
    path: embedded below data/, its hashes in data/SHA256SUMS. url: 'https:…' with its sha256, or
    'hub:…', for a data set with its commit as revision. rows: documents, table rows or parameters.
    fallback: the embedded resource that stands in where the network may not or cannot be used.
    """

    name: str
    kind: str
    description: str
    licence: str
    rows: str
    path: str | None = None
    url: str | None = None
    sha256: str | None = None
    revision: str | None = None
    fallback: str | None = None


CATALOGUE = {
    resource.name: resource
    for resource in (
        Resource(
            "mini-bert-ko",
            "model",
            "이 강의에서 학습한 작은 한국어 BERT",
            "CC BY-SA 4.0",
            "매개변수 17M",
            path="models/mini-bert-ko",
        ),
        Resource(
            "mini-sentence-ko",
            "model",
            "mini-bert-ko를 문장 벡터로 더 학습한 인코더(encoder)",
            "CC BY-SA 4.0",
            "매개변수 17M",
            path="models/mini-sentence-ko",
        ),
        Resource(
            "bert-base-multilingual-cased",
            "model",
            "104개 언어로 학습한 BERT",
            "Apache-2.0",
            "매개변수 178M",
            url="hub:google-bert/bert-base-multilingual-cased",
            revision="3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
            fallback="mini-bert-ko",
        ),
        Resource(
            "korean-documents",
            "text",
            "강의를 위해 새로 쓴 백과사전식 글",
            "CC BY 4.0",
            "문서 126개, 2,016문장",
            path="korean_pretraining/general",
        ),
        Resource(
            "law-documents",
            "text",
            "법령과 법학 교과서의 문체로 새로 쓴 글",
            "CC BY 4.0",
            "문서 48개, 752문장",
            path="korean_pretraining/law",
        ),
        Resource(
            "korean-wikipedia",
            "text",
            "한국어 위키백과 2023년 11월 1일 판",
            "CC BY-SA 3.0",
            "문서 약 65만 개",
            url="hub:wikimedia/wikipedia/20231101.ko",
            revision="41e6bc09f9122942bcda3499cdbf38a97cb835cc",
            fallback="korean-documents",
        ),
        Resource(
            "chatbot-pairs",
            "table",
            "강의를 위해 새로 쓴 질문과 답",
            "CC BY 4.0",
            "512쌍",
            path="similarity_chatbot/qa.tsv",
        ),
        Resource(
            "chatbot-data",
            "table",
            "일상 대화 질문과 답(songys/Chatbot_data)",
            "MIT",
            "11,823행",
            url="https://raw.githubusercontent.com/songys/Chatbot_data/master/ChatbotData.csv",
            sha256="287eb129695b577321c80ad397bb3c2279164d4ca577874d129fd3db5b30afe2",
            fallback="chatbot-pairs",
        ),
        Resource(
            "relation-sentences",
            "table",
            "강의를 위해 새로 쓴 관계 추출 문장",
            "CC BY 4.0",
            "1,133개",
            path="entity_bert",
        ),
        Resource(
            "sentiment-reviews",
            "table",
            "강의를 위해 새로 쓴 짧은 후기",
            "CC BY 4.0",
            "600개",
            path="mask_attack/sentiment.tsv",
        ),
        Resource(
            "similarity-pairs",
            "table",
            "강의를 위해 새로 쓴 문장 쌍과 유사도 점수",
            "CC BY 4.0",
            "300쌍",
            path="finetuning/pairs.tsv",
        ),
        Resource(
            "entity-sentences",
            "table",
            "강의를 위해 새로 쓴 개체명 문장",
            "CC BY 4.0",
            "300개",
            path="finetuning",
        ),
        Resource(
            "reading-passages",
            "table",
            "강의를 위해 새로 쓴 지문과 질문",
            "CC BY 4.0",
            "지문 60개, 질문 180개",
            path="finetuning/reading.json",
        ),
        Resource(
            "klue-re",
            "table",
            "KLUE의 관계 추출 문장(train, validation)",
            "CC BY-SA 4.0",
            "40,235개",
            url="hub:klue/klue/re",
            revision="349481ec73fff722f88e0453ca05c77a447d967c",
            fallback="relation-sentences",
        ),
    )
}


class NoNetwork(CourseError):
    """The server was never reached, so an embedded fallback may stand in."""

    def __init__(self, name: str):
        super().__init__(
            f"네트워크에 연결할 수 없어 {name}을(를) 받지 못했습니다. 연결을 확인한 뒤 "
            "다시 실행하십시오."
        )


def data_path(name: str) -> Path:
    """data_path("korean-documents") -> the file or folder, downloaded first if it is not embedded.

    Outside the full profile a resource that cannot be reached is replaced by its embedded fallback,
    and a line says so. Raises CourseError for an unknown name or a failed download.
    """
    resource = lookup(name)
    profile = profile_name()
    if resource.path is None:
        set_offline(profile != "full")  # the hub's libraries would wait for a network otherwise
    try:
        if profile == "ci" and resource.fallback:
            raise NoNetwork(name)
        return fetch(name)
    except NoNetwork:
        if profile == "full" or not resource.fallback:
            raise
    print(f"{name}: 네트워크 없이 저장소에 들어 있는 {resource.fallback}(으)로 대신합니다.")
    return fetch(resource.fallback)


def lookup(name: str) -> Resource:
    """The catalogue's line of this name. Raises CourseError if there is none."""
    if name not in CATALOGUE:
        raise CourseError(
            f"{name!r}(이)라는 자원은 없습니다. 이 가운데에서 고르십시오: {', '.join(CATALOGUE)}."
        )
    return CATALOGUE[name]


def data_files(name: str) -> list[Path]:
    """data_files("korean-documents") -> the resource's text files, sorted; one for a single file."""
    path = data_path(name)
    return sorted(path.glob("*.txt*")) if path.is_dir() else [path]


def fetch(name: str) -> Path:
    """The path of an embedded resource; any other is downloaded once, checked and kept in the cache.

    Raises NoNetwork if the server was never reached, CourseError for a missing embedded file and
    for a broken, truncated or wrong download, of which nothing is left behind.
    """
    resource = lookup(name)
    if resource.path:
        path = DATA / resource.path
        if not path.exists():
            raise CourseError(
                f"저장소에 들어 있어야 할 data/{resource.path}이(가) 없습니다. "
                "저장소를 다시 받으십시오."
            )
        return path
    if resource.url.startswith("hub:") and resource.kind == "model":  # the hub's library locks
        return _hub_model(resource.url.removeprefix("hub:"), resource.revision)
    with _alone(resource.name):
        if not resource.url.startswith("hub:"):
            return _download(resource)
        return _hub_text(resource) if resource.kind == "text" else _hub_table(resource)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process at a time build this resource in the cache; the next finds it finished."""
    lock = FileLock(cache_folder() / f".{name}.lock")
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (
        OSError
    ):  # a cache that cannot be written to: what lies there is read, or its writer complains
        yield
        return
    try:
        yield
    finally:
        lock.release()


def cache_folder() -> Path:
    """Where downloads live: COURSE_CACHE, or the user's cache folder of this system."""
    return Path(os.environ.get("COURSE_CACHE") or pooch.os_cache("bert-course-ko"))


def _download(resource: Resource) -> Path:
    pooch.get_logger().setLevel("ERROR")
    target = cache_folder() / f"{resource.name}{Path(resource.url).suffix}"
    part = target.with_name(target.name + ".part")
    if target.exists() and sha256(target) != resource.sha256:
        target.unlink()  # damaged on this disk; pooch fetches it again
    try:
        return Path(
            pooch.retrieve(
                resource.url,
                f"sha256:{resource.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=ResumingDownloader(part),
            )
        )
    except NoNetwork:
        raise NoNetwork(resource.name) from None
    except requests.HTTPError as error:
        reason = f"서버가 오류 {error.response.status_code}을(를) 돌려주었습니다"
    except requests.RequestException:
        reason = "받는 도중에 연결이 여러 번 끊겼습니다"
    except ValueError:  # pooch: the hash differs
        reason = "받은 파일의 내용이 목록의 sha256과 다릅니다"
    except OSError as error:
        reason = f"캐시 폴더에 쓸 수 없습니다({error.strerror})"
    if part.exists():
        part.unlink()
    raise CourseError(
        f"{resource.name}을(를) 받지 못했습니다: {reason}. "
        f"잠시 뒤에 `python -m helpers fetch {resource.name}`(으)로 다시 시도하십시오."
    )


class ResumingDownloader:
    """A downloader for pooch that goes on where a broken connection stopped.

    part: the file that grows; it survives only a killed process, so that the next call resumes.
    """

    def __init__(self, part: Path, attempts: int = 4, wait: float = 1.0):
        self.part, self.attempts, self.wait = part, attempts, wait

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        for attempt in range(1, self.attempts + 1):
            try:
                self._pull(url)
                break
            except BROKEN as error:
                if not self.part.exists():  # not a single byte came
                    raise NoNetwork(Path(url).name) from error
                if attempt == self.attempts:
                    raise
                time.sleep(self.wait * attempt)
        os.replace(self.part, output_file)

    def _pull(self, url: str) -> None:
        """Append what is missing to the part; start again if the server cannot resume."""
        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=(10, 60)) as answer:
            if answer.status_code == 416:  # nothing lies beyond the part: it is whole, or too long
                return
            answer.raise_for_status()
            if answer.status_code != 206:
                have = 0
            total = have + int(answer.headers.get("Content-Length", 0))
            bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, leave=False)
            with self.part.open("ab" if have else "wb") as file, bar:
                for chunk in answer.iter_content(1 << 16):
                    file.write(chunk)
                    bar.update(len(chunk))
        if self.part.stat().st_size < total:
            raise requests.ConnectionError("truncated")


def _hub_model(repository: str, revision: str | None = None) -> Path:
    """Bring the safetensors and the tokenizer of a hub model into the hub's cache; no pickles."""
    return _hub_folder(
        repository,
        revision=revision,
        allow_patterns=["*.json", "*.txt", "*.safetensors"],
        ignore_patterns=["*/*"],
    )


def _hub_text(resource: Resource) -> Path:
    """Write a hub data set of articles as one text file: sentence a line, blank line between."""
    import datasets

    target = cache_folder() / f"{resource.name}.txt"
    if target.exists():
        return target
    files = [str(path) for path in _hub_parquet(resource)]
    rows = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        for row in tqdm(rows, desc=resource.name, leave=False):
            sentences = split_sentences(row["text"])
            if len(sentences) > 1:
                file.write("\n".join(sentences) + "\n\n")
    return part.replace(target)


def _hub_table(resource: Resource) -> Path:
    """Write a hub data set as a folder of JSON lists, one a split: train.json, test.json ...

    Numbers of classes become their names. Without a test split the validation split is the test.
    """
    import datasets

    target = cache_folder() / resource.name
    if target.exists():
        return target
    files: dict[str, list[str]] = {}
    for path in _hub_parquet(resource):  # train-00000-of-00001.parquet
        files.setdefault(path.name.split("-")[0], []).append(str(path))
    if "test" not in files:
        files["test"] = files.pop("validation")
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for split, paths in files.items():
        rows = datasets.load_dataset("parquet", data_files=paths, split="train")
        names = {
            column: feature.names
            for column, feature in rows.features.items()
            if isinstance(feature, datasets.ClassLabel)
        }
        table = [{**row, **{c: names[c][row[c]] for c in names}} for row in rows]
        with (part / f"{split}.json").open("w", encoding="utf-8", newline="\n") as file:
            json.dump(table, file, ensure_ascii=False)
    return part.replace(target)


def _hub_parquet(resource: Resource) -> list[Path]:
    """The parquet files of 'hub:owner/name/folder', brought into the hub's cache."""
    owner, name, folder = resource.url.removeprefix("hub:").split("/")
    snapshot = _hub_folder(
        f"{owner}/{name}",
        repo_type="dataset",
        revision=resource.revision,
        allow_patterns=[f"{folder}/*.parquet"],
    )
    return sorted(snapshot.glob(f"{folder}/*.parquet"))


def _hub_folder(repository: str, **options: Any) -> Path:
    """huggingface_hub's snapshot: it resumes, checks, and answers from its cache when offline."""
    from huggingface_hub import errors, logging, snapshot_download

    logging.set_verbosity_error()  # its retries would print a line each
    try:
        return Path(snapshot_download(repository, **options))
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise CourseError(
            f"허브(hub)에 {repository!r}(이)라는 이름이 없습니다. 이름을 확인하십시오."
        ) from error
    except (errors.LocalEntryNotFoundError, ConnectionError) as error:
        raise NoNetwork(repository) from error


def split_sentences(article: str) -> list[str]:
    """split_sentences("물은 액체이다. 얼면 얼음이다.\\n같이 보기") -> ["물은 액체이다.", "얼면 얼음이다."]

    Headings and list items, which end without a full stop, are left out.
    """
    sentences = re.split(r"(?<=[.!?])\s+|\n+", article)
    return [line.strip() for line in sentences if re.search(r"\w.*[.!?]$", line.strip())]


def load_tokenizer(name: str | Path) -> Any:
    """The tokenizer of a catalogue name, of a folder, or in the full profile of a hub id.

    Raises CourseError if there is none, or if it turns ordinary Korean into [UNK].
    """
    tokenizer = _read_tokenizer(model_folder(name), name)
    check_tokenizer(tokenizer)
    return tokenizer


def load_model(cls: type, name: str | Path, **kwargs: Any) -> Any:
    """load_model(BertForMaskedLM, "mini-bert-ko") -> the model in evaluation mode, float32.

    name: as for `load_tokenizer`; kwargs go to `from_pretrained`. Only safetensors are read.
    Raises CourseError if the weights are missing or pickled, or if the tokenizer beside the model
    does not belong to it.
    """
    import torch

    folder = model_folder(name)
    if not list(folder.glob("*.safetensors")):
        raise CourseError(
            f"{name}에 safetensors 가중치가 없습니다. 피클(.bin, .pt)은 읽지 않으므로 "
            "model.save_pretrained(...)로 다시 저장하십시오."
        )
    tokenizer = _read_tokenizer(folder, name)
    options = {"dtype": torch.float32, "use_safetensors": True, **kwargs}
    try:
        model = cls.from_pretrained(folder, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CourseError(
            f"{name}의 모델을 읽을 수 없습니다. 파일이 온전한지 확인하십시오 "
            f"({type(error).__name__}: {str(error).splitlines()[0]})."
        ) from error
    check_pair(model, tokenizer)
    return model


def check_pair(model: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that does not belong to the model, before it gives silent nonsense.

    Compared: vocabulary size and embedding rows, the id of [PAD], the special tokens, and the share
    of [UNK] in ordinary Korean. Raises CourseError.
    """
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) != rows:
        raise CourseError(
            f"토크나이저의 어휘는 {len(tokenizer)}개인데 모델의 임베딩은 {rows}행입니다. "
            "모델과 함께 저장한 토크나이저를 쓰십시오."
        )
    if model.config.pad_token_id != tokenizer.pad_token_id:
        raise CourseError(
            f"[PAD]의 번호가 토크나이저에서는 {tokenizer.pad_token_id}, 모델에서는 "
            f"{model.config.pad_token_id}입니다. 모델과 함께 저장한 토크나이저를 쓰십시오."
        )
    check_tokenizer(tokenizer)


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse a tokenizer without BERT's special tokens or one that reads Korean as [UNK]."""
    specials = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    ids = [getattr(tokenizer, f"{special}_id") for special in specials]
    missing = [special for special, number in zip(specials, ids, strict=True) if number is None]
    if missing or len(set(ids)) < len(ids):
        raise CourseError(
            f"토크나이저의 특수 토큰이 없거나 겹칩니다({', '.join(missing) or ids}). "
            "[PAD], [UNK], [CLS], [SEP], [MASK]를 넣어 다시 만드십시오."
        )
    encoded = tokenizer(list(ORDINARY_KOREAN), add_special_tokens=False)["input_ids"]
    pieces = [piece for sentence in encoded for piece in sentence]
    unknown = pieces.count(tokenizer.unk_token_id) / max(1, len(pieces))
    if unknown > 0.5 or not pieces:
        raise CourseError(
            f"토크나이저가 보통 한국어 문장의 {unknown:.0%}를 [UNK]로 바꿉니다. "
            "어휘 파일을 제대로 읽었는지 확인하십시오(vocab_file=이 아니라 vocab=을 씁니다)."
        )


def _read_tokenizer(folder: Path, name: str | Path) -> Any:
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").exists() and not (folder / "vocab.txt").exists():
        raise CourseError(
            f"{name}에 토크나이저가 없습니다. tokenizer.save_pretrained(...)로 모델과 같은 폴더에 "
            "저장하십시오."
        )
    return AutoTokenizer.from_pretrained(folder)


def model_folder(name: str | Path) -> Path:
    """The folder of a catalogue name, of a folder, or in the full profile of a hub id.

    Raises CourseError if there is none.
    """
    if str(name) in CATALOGUE:
        return data_path(str(name))
    if Path(name).is_dir():
        return Path(name)
    if profile_name() == "full":
        set_offline(False)
        return _hub_model(str(name))
    models = ", ".join(entry.name for entry in CATALOGUE.values() if entry.kind == "model")
    raise CourseError(
        f"{str(name)!r}(이)라는 모델이나 폴더가 없습니다. 목록의 이름({models})이나 "
        "모델을 저장한 폴더를 쓰십시오."
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def embedded_files() -> list[Path]:
    """Every file below data/ that data/SHA256SUMS has to name."""
    return sorted(
        path
        for path in DATA.rglob("*")
        if path.is_file() and path.name != SUMS and not path.name.startswith(".")
    )


def read_sums() -> dict[str, str]:
    """{path below data/: sha256} from data/SHA256SUMS (sha256sum's format); {} without the file."""
    sums = DATA / SUMS
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def write_sums() -> None:
    """Renew data/SHA256SUMS after an embedded file was changed on purpose."""
    lines = [f"{sha256(path)}  {path.relative_to(DATA).as_posix()}\n" for path in embedded_files()]
    (DATA / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def changed_files() -> list[str]:
    """Paths below data/ that are missing, unnamed or different from data/SHA256SUMS."""
    named = read_sums()
    found = {path.relative_to(DATA).as_posix(): path for path in embedded_files()}
    return sorted(
        path
        for path in named.keys() | found.keys()
        if path not in found or sha256(found[path]) != named.get(path)
    )
