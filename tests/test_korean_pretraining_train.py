import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from korean_text import NOUNS, number_tokenizer, write_korean
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertTokenizerFast, TrainerCallback

from helpers import ROOT, CourseError
from helpers.disk import lock_folder
from helpers.korean_pretraining import settings as settings_module
from helpers.korean_pretraining import train, trainer
from helpers.korean_pretraining.corpus import read_lines
from helpers.korean_pretraining.masking import Masking
from helpers.korean_pretraining.model import initial_model, new_model
from helpers.korean_pretraining.optimizers import muon
from helpers.korean_pretraining.run_folder import last_checkpoint, read_log
from helpers.korean_pretraining.sentence_vectors import SentenceVectorLoss
from helpers.korean_pretraining.stages import Stage, TrainingText, by_length, pad_batch
from helpers.korean_pretraining.time_machine import PROMPTS, answers
from helpers.korean_pretraining.train import pretrain
from helpers.korean_pretraining.trainer import Budget
from helpers.korean_pretraining.wordpiece import train_wordpiece
from helpers.runs import on_one_gpu

TINY = {
    "vocab_size": 250,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "block_size": 24,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "logging_steps": 1,
}
CLS, SEP, MASK = 2, 3, 4
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_korean(tmp_path_factory.mktemp("train") / "corpus.txt")


@pytest.fixture
def fp32(monkeypatch):
    """Exact comparisons need more digits than bf16 has."""
    monkeypatch.setattr(train, "bf16_supported", lambda: False)


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """One run from text to model that several tests look at."""
    folder = tmp_path_factory.mktemp("run") / "model"
    return pretrain(corpus, folder, steps=24, save_steps=9, save_total_limit=2, **TINY)


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def losses(log: list[dict], name: str = "loss") -> list[float]:
    return [row[name] for row in log]


def assert_same_run(first, second, tolerance: float = 1e-5) -> None:
    """The same losses at every step and the same weights in the end."""
    assert [row["step"] for row in first.log] == [row["step"] for row in second.log]
    for name in ("loss", "masked_lm_loss", "next_sentence_loss", "learning_rate"):
        assert losses(first.log, name) == pytest.approx(losses(second.log, name), rel=tolerance)
    ours, theirs = weights(first.folder), weights(second.folder)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], atol=50 * tolerance, rtol=0, msg=name)


# --- what is read when ---------------------------------------------------------------------------


PAIRS = [Stage(1.0, block_size=24)]


def training_text(corpus, stages=PAIRS, seed=0, steps=1000) -> TrainingText:
    return TrainingText(
        stages, [corpus], number_tokenizer(10), length=8 * steps, batch_size=8, seed=seed,
        progress=Budget(None, steps).progress,
    )  # fmt: skip


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """40 documents of two sentences of five words."""
    path = tmp_path_factory.mktemp("text") / "numbers.txt"
    path.write_text("w1 w2 w3 w4 w5\nw6 w7 w8 w9 w0\n\n" * 40, encoding="utf-8")
    return path


def test_a_place_of_the_run_decides_all(numbers):
    first, second = training_text(numbers), training_text(numbers)
    places = [65, 3, 59, 0, 40]
    for place, example in zip(places, first.__getitems__(places), strict=True):
        assert example == second[place] and example["place"] == place
    other = training_text(numbers, seed=1)
    assert [other.row(KEY, i) for i in range(20)] != [first.row(KEY, i) for i in range(20)]


KEY = ("pairs", 24)


def test_each_epoch_has_every_pair_in_a_new_order(numbers):
    text = training_text(numbers)
    count = len(text.texts[KEY])
    epochs = [[text.row(KEY, epoch * count + i) for i in range(count)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(count))


def test_seeds_may_be_large(numbers):
    assert training_text(numbers, seed=2**32 - 1)[7000]["input_ids"]


def test_stages_follow_the_budget_and_kinds_take_turns(numbers):
    stages = [Stage(0.5, ("windows",), 8), Stage(0.5, ("pairs", "sentences"), 24)]
    text = training_text(numbers, stages, steps=8)
    seen = []
    for step in range(8):
        examples = text.__getitems__(list(range(8 * step, 8 * step + 8)))
        longest = max(len(example["input_ids"]) for example in examples)
        judged = {example["next_sentence_label"] for example in examples} <= {0, 1}
        segments = {max(example["token_type_ids"]) for example in examples}
        seen.append((longest, judged, segments))
    windows, pairs, sentences = (8, False, {1}), (13, True, {1}), (7, False, {0})
    assert seen == [windows] * 4 + [pairs, sentences] * 2


@pytest.mark.parametrize("kind", ["pairs", "windows", "sentences"])
def test_the_examples_of_a_step_are_of_one_length_and_none_is_lost(tmp_path, kind):
    path = tmp_path / "lengths.txt"
    path.write_text("".join("w1 " * (i % 17 + 2) + "\n\n" for i in range(805)), encoding="utf-8")
    text = training_text(path, [Stage(1.0, (kind,), 24)])
    key, count = (kind, 24), len(text.texts[kind, 24])
    assert count % 8  # the steps of the second epoch begin elsewhere
    epochs = [[text.row(key, epoch * count + i) for i in range(count)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs) and epochs[0] != epochs[1]
    steps = [
        [len(example["input_ids"]) for example in text.__getitems__(list(range(i, i + 8)))]
        for i in range(0, 3 * count - 7, 8)
    ]
    assert sum(max(lengths) - min(lengths) for lengths in steps) / len(steps) < 2
    assert [step[0] for step in steps] != sorted(step[0] for step in steps)


@given(st.lists(st.integers(1, 99), min_size=1, max_size=60), st.integers(1, 9), st.data())
def test_every_row_comes_once_whatever_the_batches(lengths, batch_size, data):
    first = data.draw(st.integers(0, batch_size - 1))
    generator = torch.Generator().manual_seed(0)
    order = by_length(torch.tensor(lengths), batch_size, first, generator)
    assert sorted(order.tolist()) == list(range(len(lengths)))


def test_an_unknown_kind_of_text(numbers):
    with pytest.raises(CourseError, match="'page'.*pairs, windows, sentences"):
        training_text(numbers, [Stage(1.0, ("page",))])


def test_batches_are_padded_to_the_longest_or_a_multiple():
    examples = [
        {"input_ids": [7] * n, "token_type_ids": [1] * n, "next_sentence_label": n % 2, "place": n}
        for n in (2, 3)
    ]
    batch = pad_batch(examples, pad_token_id=9)
    assert batch["input_ids"].tolist() == [[7, 7, 9], [7, 7, 7]]
    assert batch["token_type_ids"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["next_sentence_label"].tolist() == [0, 1] and batch["place"].tolist() == [2, 3]
    assert pad_batch(examples, 9, multiple=16)["attention_mask"].tolist() == [
        [1] * n + [0] * (16 - n) for n in (2, 3)
    ]
    assert pad_batch(examples, 9, multiple=16, longest=12)["input_ids"].shape == (2, 12)


# --- the budget ----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 10, 100, 1000])
def test_learning_rate_climbs_for_a_twentieth_and_falls_to_zero(steps):
    curve = [Budget(None, steps).factor(step) for step in range(steps + 1)]
    assert all(0 < factor <= 1 for factor in curve[:-1]) and curve[-1] == 0  # no step is wasted
    top = curve.index(max(curve))
    assert top <= steps / 20
    assert curve[: top + 1] == sorted(curve[: top + 1])
    assert curve[top:] == sorted(curve[top:], reverse=True)
    if steps >= 100:
        assert max(curve) > 0.98
        assert curve[steps // 2] == pytest.approx(0.5 / 0.95, abs=0.01)


def test_learning_rate_follows_the_clock():
    clock = Budget(minutes=2, steps=None)
    curve = []
    for clock.seconds in (0, 3, 6, 63, 120, 130):
        curve.append(clock.factor(step=77))
    assert 0 < curve[0] < 0.01
    assert curve[1:] == pytest.approx([0.501, 1.0, 0.5, 0.0, 0.0])


def test_minutes_end_the_run_and_count_interrupted_parts(corpus, tmp_path, monkeypatch):
    seconds = itertools.count()  # each step takes one
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    result = pretrain(corpus, tmp_path / "model", minutes=0.1, **TINY)
    assert losses(result.log, "seconds") == [1, 2, 3, 4, 5, 6]
    assert (result.folder / "checkpoint-6").is_dir()  # or a longer budget had to repeat it
    rates = losses(result.log, "learning_rate")
    assert rates[2:] == sorted(rates[2:], reverse=True) and rates[-1] < 0.5 * max(rates)
    longer = pretrain(corpus, result.folder, minutes=0.15, resume=True, **TINY)
    assert longer.log[:6] == result.log
    assert losses(longer.log, "seconds") == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("budget", [{}, {"minutes": 1, "steps": 1}])
def test_exactly_one_budget(corpus, tmp_path, budget):
    with pytest.raises(CourseError, match="예산을 하나만"):
        pretrain(corpus, tmp_path / "model", **budget)


# --- one run -------------------------------------------------------------------------------------


def test_log_has_a_row_for_every_step(run):
    assert [row["step"] for row in run.log] == list(range(1, 25))
    assert read_log(run.folder) == run.log
    for row in run.log:
        assert row["loss"] == pytest.approx(
            row["masked_lm_loss"] + row["next_sentence_loss"], rel=1e-3
        )
        assert 8 * 5 < row["tokens"] <= 8 * 24
    clock = Budget(None, 24)
    expected = [TINY["learning_rate"] * clock.factor(step) for step in range(24)]
    assert losses(run.log, "learning_rate") == pytest.approx(expected)
    assert losses(run.log, "seconds") == sorted(losses(run.log, "seconds"))


def test_it_begins_with_the_frequencies_and_learns_more(run, corpus, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    ids = torch.cat(
        [torch.tensor(tokenizer(t)["input_ids"][1:-1]).long() for t in read_lines(corpus)]
    )
    shares = torch.bincount(ids).float() / len(ids)
    entropy = -(shares * shares.clamp(min=1e-9).log()).sum().item()
    assert entropy < math.log(250) - 1
    first = losses(run.log[:3], "masked_lm_loss")
    assert sum(first) / 3 == pytest.approx(entropy, abs=0.3)
    longer = pretrain(corpus, tmp_path / "model", steps=300, **TINY)
    last = losses(longer.log[-10:], "masked_lm_loss")
    assert sum(last) / 10 < entropy - 0.5


def test_checkpoints_have_a_limit(run):
    kept = sorted(path.name for path in run.folder.glob("checkpoint-*"))
    assert kept == ["checkpoint-18", "checkpoint-24"]


@pytest.mark.parametrize("name", ["BertForPreTraining", "BertForMaskedLM", "BertModel"])
def test_result_loads_in_every_bert_class(run, name):
    model, report = getattr(transformers, name).from_pretrained(
        run.folder, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["mismatched_keys"]
    assert model.config.hidden_dropout_prob == model.config.attention_probs_dropout_prob == 0.1
    assert model.config._attn_implementation != "eager"
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    assert isinstance(tokenizer, BertTokenizerFast)
    assert len(tokenizer) == model.config.vocab_size
    assert "[UNK]" not in tokenizer.tokenize("겨울에 부산의 바다은 크다.")
    assert not [path for path in run.folder.glob("*.*") if path.suffix in (".bin", ".pt", ".pkl")]


def test_rows_average_over_logging_steps(run, corpus, tmp_path):
    coarse = pretrain(corpus, tmp_path / "model", steps=24, **TINY | {"logging_steps": 8})
    assert [row["step"] for row in coarse.log] == [8, 16, 24]
    for i, row in enumerate(coarse.log):
        fine = run.log[8 * i : 8 * i + 8]
        for name in ("loss", "masked_lm_loss", "next_sentence_loss"):
            assert row[name] == pytest.approx(sum(losses(fine, name)) / 8, rel=1e-3)
        assert row["tokens"] == sum(losses(fine, "tokens"))


def test_accumulated_parts_are_the_undivided_batch(corpus, tmp_path, fp32):
    whole, parts = (
        pretrain(corpus, tmp_path / str(n), steps=6, gradient_accumulation_steps=n, **TINY)
        for n in (1, 4)
    )
    assert losses(parts.log) == pytest.approx(losses(whole.log), rel=1e-4)
    assert losses(parts.log, "tokens") == losses(whole.log, "tokens")


def test_another_seed_is_another_run(run, corpus, tmp_path):
    other = pretrain(corpus, tmp_path / "model", steps=2, seed=1, **TINY)
    assert losses(other.log) != losses(run.log[:2])


def test_the_share_of_masks_moves_over_the_run(corpus, tmp_path, monkeypatch):
    seen = []

    def masking(self, input_ids, places, mlm_probability):
        seen.append(round(mlm_probability, 3))
        return mask(self, input_ids, places, mlm_probability)

    mask = Masking.__call__
    monkeypatch.setattr(Masking, "__call__", masking)
    pretrain(
        corpus, tmp_path / "model", steps=4, mlm_probability=0.3, final_mlm_probability=0.1, **TINY
    )
    assert seen == [0.3, 0.25, 0.2, 0.15]


def test_stages_change_what_is_judged(corpus, tmp_path):
    stages = [Stage(0.5, ("windows",), 24), Stage(0.5, ("pairs", "sentences"), 24)]
    log = pretrain(corpus, tmp_path / "model", steps=8, stages=stages, **TINY).log
    judged = [row["next_sentence_loss"] > 0 for row in log]
    assert judged == [False] * 4 + [True, False] * 2
    assert all(row["masked_lm_loss"] > 0 for row in log)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_with_either_optimizer_a_run_learns_and_resumes_as_if_never_broken_off(
    corpus, tmp_path, monkeypatch, optimizer
):
    for module in (train, settings_module):
        monkeypatch.setattr(module, "bf16_supported", lambda: True)
    settings = TINY | {"optimizer": optimizer, "save_steps": 20}
    whole = pretrain(corpus, tmp_path / "whole", steps=40, **settings)
    assert losses(whole.log, "masked_lm_loss")[-1] < losses(whole.log, "masked_lm_loss")[0]
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path / "part", steps=40, callbacks=[Stop(25)], **settings)
    again = pretrain(corpus, tmp_path / "part", steps=40, resume=True, **settings)
    assert_same_run(again, whole, tolerance=1e-4)


def test_muon_moves_the_encoders_matrices_and_nothing_else():
    model = new_model(
        number_tokenizer(20), hidden_size=8, num_attention_heads=1, num_hidden_layers=1
    )
    both = muon(model, 1e-3)
    names = {id(p): name for name, p in model.named_parameters()}
    matrices, rest = ([names[id(p)] for p in part.param_groups[0]["params"]] for part in both.parts)
    assert sorted(matrices + rest) == sorted(names.values())
    assert len(matrices) == 6 and all("encoder.layer.0" in name for name in matrices)
    both.param_groups[0]["lr"] = 0.5  # as a scheduler does it
    assert both.parts[0].param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("name, message", [("sgd", "adamw나 muon"), ("muon", "adamw를 주십시오")])
def test_an_optimizer_that_cannot_be_had(corpus, tmp_path, monkeypatch, name, message):
    monkeypatch.setattr(settings_module, "bf16_supported", lambda: False)
    with pytest.raises(CourseError, match=message):
        pretrain(corpus, tmp_path / "model", steps=1, optimizer=name, **TINY)


def test_time_machine_records_the_answers_of_ten_moments(corpus, tmp_path):
    tokenizer = train_wordpiece(corpus, 250)
    file = tmp_path / "new" / "moments.json"
    file.parent.mkdir()
    file.write_text('{"moments": [{"step": 0, "answers": ["옛 것"]}]}', encoding="utf-8")
    settings = TINY | {"block_size": 64, "logging_steps": 10, "save_steps": 50}
    run = pretrain(
        corpus, tmp_path / "model", steps=100, tokenizer=tokenizer, time_machine=file, **settings
    )
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["prompts"] == list(PROMPTS)  # and nothing of the file that was there before
    assert [row["step"] for row in content["moments"]] == [0, 1, 2, 3, 5, 10, 20, 40, 70, 100]
    for row in content["moments"]:
        for five in row["answers"]:
            shares = [share for _, share in five]
            assert len(five) == 5 and shares == sorted(shares, reverse=True) and sum(shares) <= 1.01
    model = transformers.BertForMaskedLM.from_pretrained(run.folder)
    best = answers(model, AutoTokenizer.from_pretrained(run.folder))
    last = content["moments"][-1]["answers"]
    assert sum(a[0][0] == b[0][0] for a, b in zip(best, last, strict=True)) >= 11  # fp32, bf16


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_it_is_the_same_run(corpus, tmp_path, fp32):
    plain, compiled = (
        pretrain(corpus, tmp_path / str(c), steps=3, compile=c, **TINY) for c in (False, True)
    )
    assert_same_run(compiled, plain, tolerance=1e-4)


def test_compile_without_a_compiler(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.korean_pretraining.settings.which", lambda name: None)
    with pytest.raises(CourseError, match="C\\+\\+ 컴파일러가 필요합니다.*compile 없이"):
        pretrain(corpus, tmp_path / "model", steps=1, compile=True, **TINY)


# --- folders and mistakes ------------------------------------------------------------------------


def test_a_folder_with_a_run_is_never_overwritten(run, corpus):
    before = weights(run.folder)
    with pytest.raises(CourseError, match="이미 학습 결과가 있습니다.*--resume"):
        pretrain(corpus, run.folder, steps=2, **TINY)
    assert all(torch.equal(before[name], weight) for name, weight in weights(run.folder).items())


def test_a_folder_with_a_model_is_never_overwritten(corpus, tmp_path):
    new_model(
        number_tokenizer(10), hidden_size=8, num_attention_heads=1, num_hidden_layers=1
    ).save_pretrained(tmp_path)
    with pytest.raises(CourseError, match="다른 모델이나 .*다른 폴더를"):
        pretrain(corpus, tmp_path, steps=2, **TINY)


def test_every_checkpoint_knows_how_much_time_is_used(corpus, tmp_path):
    rare = TINY | {"logging_steps": 1000, "save_steps": 4}
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path / "model", minutes=60, callbacks=[Stop(10)], **rare)
    assert [row["step"] for row in read_log(tmp_path / "model")] == [4, 8]
    (tmp_path / "model" / "checkpoint-best").mkdir()  # no checkpoint of ours
    assert last_checkpoint(tmp_path / "model").endswith("checkpoint-8")
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path / "model", minutes=60, callbacks=[Stop(13)], resume=True, **rare)
    seconds = [row["seconds"] for row in read_log(tmp_path / "model")]
    assert len(seconds) == 3 and seconds == sorted(seconds) and seconds[1] > 0


def test_a_time_machine_gets_its_folder_before_the_run(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    moments = tmp_path / "file" / "moments.json"
    with pytest.raises(CourseError, match="폴더를 만들 수 없습니다"):
        pretrain(corpus, tmp_path / "model", steps=2, time_machine=moments, **TINY)
    assert not (tmp_path / "model").exists()


def test_a_process_uses_one_gpu():
    arguments = transformers.TrainingArguments(output_dir="unused", use_cpu=True)
    arguments._n_gpu = 2  # as the Trainer finds them
    assert on_one_gpu(arguments).train_batch_size == arguments.per_device_train_batch_size


def test_a_second_run_in_the_same_folder_is_refused(corpus, tmp_path):
    other = lock_folder(tmp_path, "busy")
    try:
        with pytest.raises(CourseError, match="다른 학습이 진행 중입니다"):
            pretrain(corpus, tmp_path, steps=2, **TINY)
    finally:
        other.release()
    assert len(pretrain(corpus, tmp_path, steps=2, **TINY).log) == 2
    lock_folder(tmp_path, "busy").release()  # the run has given it back


def test_nothing_to_resume(corpus, tmp_path):
    with pytest.raises(CourseError, match="이어서 할 학습이 없습니다"):
        pretrain(corpus, tmp_path / "model", steps=2, resume=True, **TINY)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("change", [{"batch_size": 4}, {"seed": 3}, {"mlm_probability": 0.3}])
def test_a_resumed_run_keeps_its_settings(run, corpus, change):
    (name,) = change
    with pytest.raises(CourseError, match=f"{name}이.* 다릅니다.*처음 값"):
        pretrain(corpus, run.folder, steps=24, resume=True, **TINY | change)


def test_a_resumed_run_keeps_its_corpus(run, tmp_path):
    other = write_korean(tmp_path / "corpus.txt", documents=50)
    with pytest.raises(CourseError, match="corpus이.* 다릅니다"):
        pretrain(other, run.folder, steps=24, resume=True, **TINY)


def test_resuming_a_finished_run_changes_nothing(run, corpus):
    before = weights(run.folder)
    again = pretrain(corpus, run.folder, steps=24, resume=True, save_steps=9, **TINY)
    assert again.log == run.log
    assert all(torch.equal(before[name], weight) for name, weight in weights(run.folder).items())


def test_a_mistake_leaves_no_folder_that_looks_like_a_run(corpus, tmp_path):
    one = tmp_path / "one.txt"
    one.write_text("문서가 하나입니다.\n" * 20, encoding="utf-8")
    with pytest.raises(CourseError, match="문서가 1개뿐"):
        pretrain(one, tmp_path / "model", steps=2, **TINY)
    with pytest.raises(CourseError, match="모델이나 폴더가 없습니다"):
        pretrain(corpus, tmp_path / "model", steps=2, init_from="typo", **TINY)
    with pytest.raises(CourseError, match="모델이나 폴더가 없습니다"):
        pretrain(corpus, tmp_path / "model", steps=2, teacher="typo", **TINY)
    result = pretrain(corpus, tmp_path / "model", steps=2, **TINY)
    vocab = AutoTokenizer.from_pretrained(result.folder).get_vocab()
    assert vocab == train_wordpiece(corpus, TINY["vocab_size"]).get_vocab()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"batch_size": 6, "gradient_accumulation_steps": 4}, "나누어떨어지는"),
        ({"batch_size": 0}, "batch_size.*0보다"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps.*0보다"),
        ({"steps": 0}, "steps.*0보다"),
        ({"steps": None, "minutes": -1}, "minutes.*0보다"),
        ({"learning_rate": -1e-3}, "learning_rate.*0보다"),
        ({"save_steps": 0}, "save_steps.*0보다"),
        ({"mlm_probability": 15}, "mlm_probability.*1 이하"),
        ({"hidden_size": 15}, "hidden_size 15.*num_attention_heads 2.*나눌 수 없습니다"),
        ({"block_size": 7}, "block_size.*8 이상"),
        ({"vocab_size": 6}, "vocab_size.*8 이상"),
        ({"corpus": "no.txt"}, "no.txt.*없습니다"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_every_wrong_argument_is_one_sentence(corpus, tmp_path, wrong, message):
    arguments = {"corpus": corpus, "steps": 2} | TINY | wrong
    with pytest.raises(CourseError, match=message):
        pretrain(output=tmp_path / "model", **arguments)


def test_a_file_is_no_folder(corpus, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for output in ("file", "file/model"):
        with pytest.raises(CourseError, match="폴더를 만들 수 없습니다.*다른 이름"):
            pretrain(corpus, tmp_path / output, steps=2, **TINY)


# --- other models at the start -------------------------------------------------------------------


def test_a_model_with_our_vocabulary_is_continued(run, corpus, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    model = initial_model(tokenizer, run.folder, 1)
    before = weights(run.folder)
    state = model.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in before.items())
    assert model.config.hidden_dropout_prob == 0
    more = pretrain(
        corpus, tmp_path / "more", steps=3, init_from=run.folder, tokenizer=tokenizer, **TINY
    )
    assert losses(more.log)[0] < losses(run.log)[0] - 0.05


def test_block_size_is_bounded_by_the_model_at_the_start(run, corpus, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    with pytest.raises(CourseError, match="24토큰까지만"):
        pretrain(
            corpus,
            tmp_path / "more",
            steps=3,
            init_from=run.folder,
            tokenizer=tokenizer,
            **TINY | {"block_size": 32},
        )


def test_a_model_with_another_vocabulary_is_a_warm_start(run, corpus, tmp_path):
    settings = TINY | {"vocab_size": 120, "learning_rate": 1e-9}
    warm = pretrain(corpus, tmp_path / "warm", steps=1, init_from=str(run.folder), **settings)
    ours, theirs = weights(warm.folder), weights(run.folder)
    assert ours["bert.embeddings.word_embeddings.weight"].shape == (120, 16)
    for name in theirs:
        if name.startswith("bert.encoder."):
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-6, rtol=0)
    # Hidden states, too: the new word vectors are the old ones, moved and scaled as a whole.
    read = [transformers.BertModel.from_pretrained(r.folder).eval() for r in (warm, run)]
    ids = [AutoTokenizer.from_pretrained(r.folder).convert_tokens_to_ids(".") for r in (warm, run)]
    first, second = (m(torch.tensor([[i, i]]))[0] for m, i in zip(read, ids, strict=True))
    torch.testing.assert_close(first, second, atol=1e-3, rtol=0)


def test_an_encoder_without_a_head_starts_at_the_frequencies(run, corpus, tmp_path):
    transformers.BertModel.from_pretrained(run.folder).save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(run.folder).save_pretrained(tmp_path / "encoder")
    settings = TINY | {"vocab_size": 120}
    warm = pretrain(corpus, tmp_path / "m", steps=1, init_from=tmp_path / "encoder", **settings)
    assert losses(warm.log, "masked_lm_loss")[0] < math.log(120) - 0.5


def test_a_teacher_adds_the_sentence_vector_loss(run, corpus, tmp_path):
    # an eighth of the batch is sentences for the teacher: enough of them that their loss is no
    # noise
    settings = TINY | {"batch_size": 64, "teacher": run.folder}
    settings |= {"teacher_sentences": 50, "teacher_weight": 2.0}
    result = pretrain(corpus, tmp_path / "taught", steps=24, **settings)
    for row in result.log:
        parts = row["masked_lm_loss"] + row["next_sentence_loss"] + 2 * row["sentence_loss"]
        assert row["loss"] == pytest.approx(parts, rel=1e-3)
    curve = losses(result.log, "sentence_loss")
    assert sum(curve[-3:]) < sum(curve[:3]) - 0.3
    vectors = load_file(result.folder / "teacher.safetensors")["vectors"]
    assert vectors.shape == (50, 16)


def test_each_part_of_an_accumulated_step_asks_the_teacher_anew(run, corpus, tmp_path, monkeypatch):
    draws = []
    loss = SentenceVectorLoss.__call__
    monkeypatch.setattr(
        SentenceVectorLoss, "__call__", lambda s, bert, n: draws.append(n) or loss(s, bert, n)
    )
    settings = TINY | {"teacher": run.folder, "teacher_sentences": 50}
    pretrain(corpus, tmp_path / "taught", steps=3, gradient_accumulation_steps=2, **settings)
    assert draws == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("asked, sentences", [(None, 8), (20, 20)])
def test_so_many_sentences_a_step_follow_the_teacher(
    run, corpus, tmp_path, monkeypatch, asked, sentences
):
    sizes = []
    loss = SentenceVectorLoss.__call__
    monkeypatch.setattr(
        SentenceVectorLoss,
        "__call__",
        lambda s, bert, n: sizes.append(s.batch_size) or loss(s, bert, n),
    )
    settings = TINY | {"batch_size": 64, "teacher": run.folder, "teacher_sentences": 50}
    pretrain(corpus, tmp_path / "taught", steps=1, teacher_batch_size=asked, **settings)
    assert sizes == [sentences]


def test_the_teachers_sentences_can_come_from_a_file_of_their_own(run, corpus, tmp_path):
    spoken = tmp_path / "spoken.txt"
    spoken.write_text("\n".join(f"{noun}이 좋아요." for noun in NOUNS), encoding="utf-8")
    settings = TINY | {"teacher": run.folder, "teacher_sentences": 10_000}
    result = pretrain(corpus, tmp_path / "taught", steps=1, teacher_corpus=str(spoken), **settings)
    vectors = load_file(result.folder / "teacher.safetensors")["vectors"]
    assert len(vectors) == len(NOUNS)
    spoken.write_text("다른 글이에요.", encoding="utf-8")  # its vectors would be of other sentences
    again = {"resume": True, "teacher_corpus": str(spoken)} | settings
    with pytest.raises(CourseError, match="teacher_corpus이\\(가\\) 다릅니다"):
        pretrain(corpus, tmp_path / "taught", steps=2, **again)
    with pytest.raises(CourseError, match="nowhere.txt"):
        pretrain(corpus, tmp_path / "no", steps=1, teacher_corpus="nowhere.txt", **settings)


def test_a_teacher_has_vectors_of_our_size(run, corpus, tmp_path):
    with pytest.raises(CourseError, match="teacher의 벡터는 16차원이고 모델의 벡터는 8차원"):
        pretrain(
            corpus, tmp_path / "taught", steps=2, teacher=run.folder, **TINY | {"hidden_size": 8}
        )


# --- interrupted and spread runs -----------------------------------------------------------------


class Stop(TrainerCallback):
    """Break a run off after a step, as an exception in a notebook would."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_interrupted_before_the_first_checkpoint_it_starts_again(run, corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path / "model", steps=24, callbacks=[Stop(4)], save_steps=9, **TINY)
    result = pretrain(corpus, tmp_path / "model", steps=24, save_steps=9, resume=True, **TINY)
    assert_same_run(result, run)


def test_a_checkpoint_cut_off_while_it_was_written_is_passed_over(run, corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path / "model", steps=24, callbacks=[Stop(20)], save_steps=9, **TINY)
    half = tmp_path / "model" / "checkpoint-18"
    (half / "trainer_state.json").unlink()
    assert last_checkpoint(half.parent).endswith("checkpoint-9")
    result = pretrain(corpus, tmp_path / "model", steps=24, save_steps=9, resume=True, **TINY)
    assert_same_run(result, run)


def command_line(corpus, output, *options: str) -> list[str]:
    tiny = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    return [
        sys.executable,
        "-m",
        "helpers",
        "pretrain",
        "--corpus",
        str(corpus),
        "--output",
        str(output),
        *tiny,
        *options,
    ]


def test_killed_and_resumed_it_is_the_run_without_a_break(run, corpus, tmp_path):
    output = tmp_path / "model"
    command = command_line(corpus, output, "--steps=2400", "--save-steps=9")
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ONE_THREAD,
    )
    try:
        # Past the checkpoint of step 9, in the middle of things.
        while not (rows := read_log(output)) or rows[-1]["step"] < 12:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
    finally:
        process.kill()  # SIGKILL: nothing can be tidied up
        process.communicate()
    assert 12 <= len(read_log(output)) < 4000 and not (output / "model.safetensors").exists()
    uninterrupted = pretrain(
        corpus, tmp_path / "whole", steps=2400, save_steps=9, callbacks=[StopQuietly(20)], **TINY
    )
    resumed = pretrain(
        corpus, output, steps=2400, save_steps=9, resume=True, callbacks=[StopQuietly(20)], **TINY
    )
    assert_same_run(resumed, uninterrupted)
    assert losses(resumed.log, "seconds") == sorted(losses(resumed.log, "seconds"))


class StopQuietly(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step


SCRIPT = """
import json, sys
from helpers.korean_pretraining import train
train.bf16_supported = lambda: False
train.pretrain(**json.loads(sys.argv[1]))
"""


def test_two_processes_are_one_at_the_same_global_batch(corpus, tmp_path, fp32):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    arguments = {"corpus": str(corpus), "output": str(tmp_path / "two"), "steps": 10} | TINY
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    done = subprocess.run(
        [*launch, str(script), json.dumps(arguments)],
        capture_output=True, text=True, env=ONE_THREAD | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one = pretrain(corpus, tmp_path / "one", steps=10, **TINY)
    two = SimpleNamespace(folder=tmp_path / "two", log=read_log(tmp_path / "two"))
    assert losses(two.log) == pytest.approx(losses(one.log), rel=1e-3)
    for name in ("masked_lm_loss", "next_sentence_loss"):
        assert losses(two.log, name) == pytest.approx(losses(one.log, name), rel=0.05)
    ours, theirs = weights(two.folder), weights(one.folder)
    assert all((ours[name] - theirs[name]).abs().max() < 1e-3 for name in theirs)
