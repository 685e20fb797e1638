"""huggingface_hub's downloads: time limits, compared hashes, one sentence for a fault."""

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers import CourseError
from helpers.disk import why
from helpers.resources.sums import sha256

CHECKED: set[Path] = set()


class NoNetwork(CourseError):
    """The server was never reached, so an embedded fallback may stand in."""

    def __init__(self, name: str):
        super().__init__(
            f"네트워크에 연결할 수 없어 {name}을(를) 받지 못했습니다. 연결을 확인한 뒤 "
            "다시 실행하십시오."
        )


def hub_folder(repository: str, **options: Any) -> Path:
    """huggingface_hub's snapshot: it resumes, and answers from its cache when offline.

    It compares only the lengths of what comes by plain HTTP; the hashes are compared here.
    """
    from huggingface_hub import logging, set_client_factory, snapshot_download

    logging.set_verbosity_error()  # its retries would print a line each
    set_client_factory(_impatient_client)
    with warnings.catch_warnings(action="ignore"):  # of a full disk, before the error
        snapshot = Path(snapshot_download(repository, **options))
    files = [file for pattern in options["allow_patterns"] for file in snapshot.glob(pattern)]
    _check_hashes(file.parent / file.readlink() for file in files if file.is_symlink())
    return snapshot


def _impatient_client() -> Any:
    """huggingface_hub's HTTP client; no request of it waits longer than a download may.

    The listing of a repository would wait for ever, the second question for a file's size a minute,
    and where there is no network it would be tried for 23 seconds (huggingface_hub 2.4.0).
    """
    from huggingface_hub import constants, errors
    from huggingface_hub.utils._http import default_client_factory

    def limit(request: Any) -> None:
        most = constants.HF_HUB_DOWNLOAD_TIMEOUT
        waits = request.extensions["timeout"]
        request.extensions["timeout"] = {kind: min(waits[kind] or most, most) for kind in waits}

    client = default_client_factory()
    client.event_hooks["request"].append(limit)
    send = client.send

    def send_once(*args: Any, **kwargs: Any) -> Any:
        try:
            return send(*args, **kwargs)
        except Exception as error:
            if type(error).__name__ == "ConnectError":  # httpx's or httpx2's, by the library's age
                raise errors.OfflineModeIsEnabled("no server") from error
            raise

    client.send = send_once
    return client


def _check_hashes(blobs: Iterable[Path]) -> None:
    """Delete each file of the hub's cache whose content does not have the hash that is its name.

    A process checks a file once. Where the cache cannot link (Windows) there are no such names,
    and nothing is checked. Raises ValueError.
    """
    new = set(blobs) - CHECKED
    damaged = [blob for blob in new if blob_hash(blob) != blob.name]
    CHECKED.update(new.difference(damaged))
    for blob in damaged:
        blob.unlink()
    if damaged:
        raise ValueError("hash")


def blob_hash(blob: Path) -> str:
    """The name huggingface_hub gives to a content: git's hash of a small file, else SHA-256."""
    if len(blob.name) == 64:
        return sha256(blob)
    content = blob.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into a CourseError, NoNetwork if no server was reached."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise CourseError(
            f"허브(hub)에 {name!r}(이)라는 이름이 없거나 볼 권한이 없습니다. "
            "접근 토큰(HF_TOKEN)과 이름을 확인하십시오."
        ) from error
    except (OSError, ValueError, errors.HTTPError) as error:
        cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
        if isinstance(cause, errors.HfHubHTTPError):
            reason = f"서버가 오류 {cause.response.status_code}을(를) 돌려주었습니다"
        elif isinstance(error, errors.LocalEntryNotFoundError | ConnectionError):
            raise NoNetwork(name) from error
        elif isinstance(error, errors.HTTPError):
            reason = "받는 도중에 연결이 여러 번 끊겼습니다"
        elif isinstance(error, OSError) and error.errno:
            raise CourseError(
                f"{name}을(를) 디스크에 쓸 수 없습니다({why(error)}). 자리를 비우거나 "
                "HF_HOME과 COURSE_CACHE를 다른 폴더로 바꾼 뒤 다시 실행하십시오."
            ) from error
        else:
            reason = "받은 내용이 허브가 알린 해시(hash)나 길이와 다릅니다"
        raise CourseError(
            f"{name}을(를) 받지 못했습니다: {reason}. 잠시 뒤에 다시 시도하십시오."
        ) from error
