"""The folder of a pretraining run: what lies in it, who may write to it, where a run goes on."""

import json
import os
from contextlib import suppress
from pathlib import Path

from helpers import CourseError, disk
from helpers.runs import make_folder

LOG = "log.jsonl"
SETTINGS = "settings.json"


def check_output(output: Path, settings: dict, resume: bool) -> str | None:
    """Refuse to overwrite or mix runs; give the checkpoint to go on from, if there is one."""
    record = output / SETTINGS
    if not resume:
        if record.exists():
            raise CourseError(
                f"'{output}'에 이미 학습 결과가 있습니다. 이어서 하려면 --resume(resume=True)을, "
                "새로 하려면 다른 폴더를 주십시오."
            )
        if list(output.glob("*.safetensors")):
            raise CourseError(
                f"'{output}'에 다른 모델이나 중단된 학습의 파일이 있습니다. 비우거나 다른 폴더를 "
                "주십시오."
            )
        make_folder(output)
        return None
    if not record.exists():
        raise CourseError(f"'{output}'에 이어서 할 학습이 없습니다. --resume 없이 시작해 주십시오.")
    before = json.loads(record.read_text(encoding="utf-8"))
    for name, value in settings.items():
        if before.get(name) != value:
            raise CourseError(
                f"이어서 하는 학습의 {name}이(가) 다릅니다(처음 {before.get(name)}, 지금 "
                f"{value}). 처음 값을 주십시오."
            )
    return last_checkpoint(output)


def last_checkpoint(output: Path) -> str | None:
    """Give the newest whole checkpoint: the Trainer writes its state last, half of it or none."""
    checkpoints = [p for p in output.glob("checkpoint-*") if p.name.split("-", 1)[1].isdecimal()]
    for path in sorted(checkpoints, key=lambda path: -int(path.name.split("-")[1])):
        with suppress(OSError, ValueError):
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            return str(path)
    return None


def read_log(output: str | os.PathLike) -> list[dict]:
    """Read a run's log: a row for every `logging_steps` steps, losses averaged over them."""
    # A last line without an end was cut off with its process.
    path = Path(output) / LOG
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def rewind_log(output: Path, checkpoint: str | None) -> None:
    """Drop the rows that a resumed run writes again."""
    step = int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0
    rows = [row for row in read_log(output) if row["step"] <= step]
    disk.write_text(output / LOG, "".join(json.dumps(row) + "\n" for row in rows))


def seconds_logged(output: Path) -> float:
    """Give the seconds of training up to the log's last row, which every checkpoint has."""
    rows = read_log(output)
    return rows[-1]["seconds"] if rows else 0.0


def save_for_bert_classes(model, tokenizer, folder: Path) -> None:
    """Save weights, config and tokenizer so that every BERT class of transformers loads them."""
    # What suited this machine's training is no property of the model.
    model.config._attn_implementation = None
    # BERT's usual dropout, for those who fine-tune: only pretraining goes without.
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1
    disk.save_whole(model.save_pretrained, folder)
    # What the last call truncated or padded to is no property of the tokenizer either.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    disk.save_whole(tokenizer.save_pretrained, folder)
