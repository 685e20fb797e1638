"""The file or folder of a name: embedded, or brought from the network and checked."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pooch
import requests
from filelock import FileLock
from tqdm.auto import tqdm

from helpers import CourseError
from helpers.course import profile_name, set_offline
from helpers.disk import why
from helpers.resources.catalogue import DATA, Resource, lookup
from helpers.resources.hub import NoNetwork, hub_errors, hub_folder

TIMEOUT = 10, 60  # seconds, to connect and between two pieces of the file
MODEL_FILES = {  # weights and tokenizer, no pickles
    "allow_patterns": ["*.json", "*.txt", "*.safetensors"],
    "ignore_patterns": ["*/*"],
}


def data_path(name: str) -> Path:
    """data_path("korean-documents") -> the file or folder, downloaded first if it is not embedded.

    Outside the full profile a resource that cannot be reached is replaced by its embedded fallback,
    and a line says so. Raises CourseError for an unknown name or a failed download.
    """
    resource = lookup(name)
    if resource.path:
        return fetch(name)
    profile = profile_name()
    set_offline(profile != "full")  # the hub's libraries would wait for a network otherwise
    if profile == "full" or not resource.fallback:
        return fetch(name)
    if profile == "local":
        with suppress(NoNetwork):
            return fetch(name)
    print(f"{name}: 네트워크 없이 저장소에 들어 있는 {resource.fallback}(으)로 대신합니다.")
    return fetch(resource.fallback)


def data_files(name: str) -> list[Path]:
    """data_files("korean-documents") -> its text files, sorted; one for a single file."""
    path = data_path(name)
    return sorted(path.glob("*.txt*")) if path.is_dir() else [path]


def fetch(name: str) -> Path:
    """The path of an embedded resource; any other is downloaded once, checked and cached.

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
    with hub_errors(name):
        if resource.kind == "model":  # the hub's library locks its cache itself
            repository = resource.url.removeprefix("hub:")
            return hub_folder(repository, revision=resource.revision, **MODEL_FILES)
        with _alone(name):
            if not resource.url.startswith("hub:"):
                return _download(resource)
            text = resource.kind == "text"
            target = cache_folder() / (f"{name}.txt" if text else name)
            if not target.exists():
                write = _write_text if text else _write_table
                files = _hub_parquet(resource)
                building = cache_folder() / f".{name}"  # a process that was killed may have left it
                shutil.rmtree(building, ignore_errors=True)
                building.mkdir()
                write(files, building / target.name)
                os.replace(building / target.name, target)
                building.rmdir()
            return target


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process at a time build this resource in the cache; the next finds it finished."""
    lock = FileLock(cache_folder() / f".{name}.lock")
    with suppress(OSError):  # no writing there: what lies there is read, or its writer complains
        cache_folder().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cache_folder() -> Path:
    """Where downloads live: COURSE_CACHE, or the user's cache folder of this system."""
    return Path(os.environ.get("COURSE_CACHE") or pooch.os_cache("bert-course-ko"))


def _download(resource: Resource) -> Path:
    pooch.get_logger().setLevel("ERROR")
    try:
        file = pooch.retrieve(
            resource.url,
            f"sha256:{resource.sha256}",
            fname=f"{resource.name}{Path(resource.url).suffix}",
            path=cache_folder(),
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )
        return Path(file)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise NoNetwork(resource.name) from error
    except requests.HTTPError as error:
        reason = f"서버가 오류 {error.response.status_code}을(를) 돌려주었습니다"
    except requests.RequestException:
        reason = "받는 도중에 연결이 끊겼습니다"
    except ValueError:  # pooch: the hash differs
        reason = "받은 파일의 내용이 목록의 sha256과 다릅니다"
    except OSError as error:
        reason = f"캐시 폴더에 쓸 수 없습니다({why(error)})"
    raise CourseError(
        f"{resource.name}을(를) 받지 못했습니다: {reason}. "
        f"잠시 뒤에 `python -m helpers fetch {resource.name}`(으)로 다시 시도하십시오."
    )


def _write_text(files: list[Path], target: Path) -> None:
    """Write a hub data set of articles as one text file: sentence a line, blank line between."""
    with target.open("w", encoding="utf-8", newline="\n") as file:
        for row in tqdm(_rows(files), desc=target.stem, leave=False):
            sentences = split_sentences(row["text"])
            if len(sentences) > 1:
                file.write("\n".join(sentences) + "\n\n")


def _write_table(files: list[Path], target: Path) -> None:
    """Write a hub data set as a folder of JSON lists, one a split: train.json, test.json ...

    Numbers of classes become their names. Without a test split the validation split is the test.
    """
    splits: dict[str, list[Path]] = {}
    for file in files:  # train-00000-of-00001.parquet
        splits.setdefault(file.name.split("-")[0], []).append(file)
    if "test" not in splits:
        splits["test"] = splits.pop("validation")
    target.mkdir()
    for split, paths in splits.items():
        rows = _rows(paths)
        table = [{c: _named(rows.features[c], value) for c, value in row.items()} for row in rows]
        with (target / f"{split}.json").open("w", encoding="utf-8", newline="\n") as file:
            json.dump(table, file, ensure_ascii=False)


def _rows(files: list[Path]) -> Any:
    """The rows of parquet files, streamed: no second copy in the cache of datasets."""
    import datasets

    names = [str(file) for file in files]
    return datasets.load_dataset("parquet", data_files=names, split="train", streaming=True)


def _named(feature: Any, value: Any) -> Any:
    """The names of a class or of a list of classes; any other value as it is."""
    feature = getattr(feature, "feature", feature)
    return feature.int2str(value) if hasattr(feature, "int2str") else value


def _hub_parquet(resource: Resource) -> list[Path]:
    """The parquet files of 'hub:owner/name/folder', brought into the hub's cache."""
    owner, name, folder = resource.url.removeprefix("hub:").split("/")
    snapshot = hub_folder(
        f"{owner}/{name}",
        repo_type="dataset",
        revision=resource.revision,
        allow_patterns=[f"{folder}/*.parquet"],
    )
    return sorted(snapshot.glob(f"{folder}/*.parquet"))


def split_sentences(article: str) -> list[str]:
    """split_sentences("물은 차다. 얼면 얼음이다.\\n같이 보기") -> ["물은 차다.", "얼면 얼음이다."]

    Headings and list items, which end without a full stop, are left out.
    """
    sentences = re.split(r"(?<=[.!?])\s+|\n+", article)
    return [line.strip() for line in sentences if re.search(r"\w.*[.!?]$", line.strip())]
