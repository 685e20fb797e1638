"""A pretraining run that is killed at any moment goes on, and never from a damaged file."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest
import torch
from safetensors.torch import load_file

from helpers import ROOT
from helpers.__main__ import main
from helpers.korean_pretraining.run_folder import last_checkpoint, read_log
from helpers.korean_pretraining.train import pretrain

sys.path.insert(0, str(ROOT / "tests"))
from korean_text import write_korean

TINY = {"vocab_size": 250, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY |= {"block_size": 24, "batch_size": 8, "learning_rate": 1e-2, "logging_steps": 1}
TINY |= {"steps": 400, "save_steps": 3}  # a third of the time is spent on writing checkpoints
KILLS = 20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_korean(tmp_path_factory.mktemp("faults") / "corpus.txt")


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory):
    torch.set_num_threads(1)
    return pretrain(corpus, tmp_path_factory.mktemp("whole") / "model", **TINY)


def command(corpus, output) -> list[str]:
    """The arguments of `pretrain`, with --resume where a run has left something to go on from."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    resume = ["--resume"] if (output / "settings.json").exists() else []
    return ["pretrain", f"--corpus={corpus}", f"--output={output}", *options, *resume]


def begin(corpus, output) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "helpers", *command(corpus, output)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_forked(arguments: list[str]) -> None:
    """The command line in a copy of this process, which has loaded the libraries already."""
    sys.argv = ["helpers", *arguments]
    sys.stdout = open(os.devnull, "w")
    sys.exit(main())


def kill_while_it_trains(corpus, output, steps: int, wait: float) -> None:
    """Kill some steps after the checkpoint that it goes on from, in the middle of whatever it does
    then.
    """
    checkpoint = last_checkpoint(output)
    steps += int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0
    process = get_context("fork").Process(target=run_forked, args=[command(corpus, output)])
    process.start()
    while process.is_alive() and (not (rows := read_log(output)) or rows[-1]["step"] < steps):
        time.sleep(0.005)
    time.sleep(wait)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)


def kill_while_it_starts(corpus, output, wait: float) -> None:
    process = begin(corpus, output)
    time.sleep(wait)
    process.kill()
    assert "Traceback" not in process.communicate()[1]


def test_killed_at_twenty_random_moments_it_ends_as_if_never_killed(
    corpus, uninterrupted, tmp_path
):
    rng, output, steps = random.Random(2021), tmp_path / "model", []
    for kill in range(KILLS):
        if kill % 7 == 0:
            kill_while_it_starts(corpus, output, rng.uniform(0.2, 6))
        else:
            kill_while_it_trains(corpus, output, rng.randint(1, 20), rng.uniform(0, 0.03))
        checkpoint = last_checkpoint(output) if output.exists() else None
        steps.append(int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0)
        if checkpoint:  # no damaged one is chosen
            assert load_file(f"{checkpoint}/model.safetensors")
            torch.load(f"{checkpoint}/optimizer.pt", weights_only=True)
    assert steps == sorted(steps) and steps[-1] > 0  # no step that was saved was ever lost
    resumed = pretrain(corpus, output, resume=True, **TINY)
    ours, theirs = (load_file(run.folder / "model.safetensors") for run in (resumed, uninterrupted))
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, atol=1e-3, rtol=0, msg=name)
    assert [row["step"] for row in resumed.log] == list(range(1, TINY["steps"] + 1))
    assert resumed.log[-1]["loss"] == pytest.approx(uninterrupted.log[-1]["loss"], rel=1e-3)
    assert not list(output.glob(".*.part"))


def half(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["log.jsonl", "model.safetensors"])
def test_a_file_cut_in_half_does_not_stop_the_next_run(corpus, uninterrupted, tmp_path, name):
    output = tmp_path / "model"
    shutil.copytree(uninterrupted.folder, output)
    half(output / name)
    assert all(isinstance(row, dict) for row in read_log(output))
    longer = TINY | {"steps": TINY["steps"] + 3}
    result = pretrain(corpus, output, resume=True, **longer)
    assert result.log[-1]["step"] == longer["steps"]
    assert load_file(output / "model.safetensors")
    assert json.loads((output / "config.json").read_text(encoding="utf-8"))


def test_a_half_checkpoint_is_passed_over(uninterrupted, tmp_path):
    output = tmp_path / "model"
    shutil.copytree(uninterrupted.folder, output)
    newest = last_checkpoint(output)
    half(output / newest.rsplit("/", 1)[1] / "trainer_state.json")
    assert int(last_checkpoint(output).rsplit("-", 1)[1]) < int(newest.rsplit("-", 1)[1])


def test_the_last_words_of_a_run_are_written_whole(uninterrupted, tmp_path, monkeypatch):
    """Killed while the finished model is written: what stood there before still stands there."""
    from helpers import disk

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("whole", encoding="utf-8")

    def killed(building):
        (building / "tokenizer.json").write_text("ha", encoding="utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.save_whole(killed, folder)
    assert [path.name for path in folder.iterdir()] == ["tokenizer.json"]
    assert (folder / "tokenizer.json").read_text(encoding="utf-8") == "whole"


def test_a_folder_in_use_refuses_a_second_run(corpus, tmp_path):
    first, second = (begin(corpus, tmp_path / "model") for _ in range(2))
    codes = set()
    try:
        while not (codes := {first.poll(), second.poll()} - {None}):
            time.sleep(0.1)
        refused = first if first.poll() is not None else second
        assert codes == {2}
        assert refused.stderr.read().startswith("오류: ")
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
