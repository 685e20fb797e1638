"""Pretrain a BERT on both of its objectives within a budget, with `transformers.Trainer`."""

import atexit
import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback, TrainingArguments

from helpers import CourseError
from helpers.architectures import set_fast_attention
from helpers.course import bf16_supported, keep_memory
from helpers.disk import clear_errors, lock_folder, write_text
from helpers.korean_pretraining.corpus import Files, as_paths
from helpers.korean_pretraining.masking import Masking
from helpers.korean_pretraining.model import initial_model
from helpers.korean_pretraining.optimizers import BETA2, WEIGHT_DECAY, muon
from helpers.korean_pretraining.run_folder import (
    SETTINGS,
    check_output,
    read_log,
    rewind_log,
    save_for_bert_classes,
    seconds_logged,
)
from helpers.korean_pretraining.sentence_vectors import SentenceVectorLoss, sentences_and_vectors
from helpers.korean_pretraining.settings import FREE, Settings, check_settings
from helpers.korean_pretraining.stages import Stage, TrainingText, pad_batch
from helpers.korean_pretraining.time_machine import TimeMachine
from helpers.korean_pretraining.trainer import Budget, PretrainingTrainer
from helpers.korean_pretraining.wordpiece import train_wordpiece
from helpers.resources import load_tokenizer
from helpers.runs import make_folder, on_one_gpu

ENDLESS = 10**7  # steps: with minutes it is the clock that stops the run


@dataclass(frozen=True)
class Pretrained:
    """What `pretrain` leaves: the folder of model and tokenizer, and the log as a list of rows."""

    folder: Path
    log: list[dict]


@dataclass(frozen=True)
class Run:
    """What a run reads, where it writes, its choices, and the rows a process reads at a time."""

    files: list[Path]
    output: Path
    stages: list[Stage]
    settings: Settings
    share: int
    clock: Budget

    @property
    def longest(self) -> int:
        return max(stage.block_size for stage in self.stages)

    @property
    def teacher_files(self) -> list[Path]:
        return as_paths(self.settings.teacher_corpus or self.files)

    def kept(self) -> dict:
        """What a resumed run must not change, as JSON can hold it."""
        kept = {name: value for name, value in vars(self.settings).items() if name not in FREE}
        kept["stages"] = [astuple(stage) for stage in self.stages]
        kept["corpus"] = [(file.name, file.stat().st_size) for file in self.files]
        if self.settings.teacher_corpus:
            kept["teacher_corpus"] = [(f.name, f.stat().st_size) for f in self.teacher_files]
        return json.loads(json.dumps(kept, default=str))


def pretrain(
    corpus: Files,
    output: str | os.PathLike,
    *,
    stages: Iterable[Stage] | None = None,
    callbacks: Iterable[TrainerCallback] = (),
    **settings: Any,
) -> Pretrained:
    """pretrain("wiki.txt", "model", steps=1000, vocab_size=8000): texts become a BERT in `output`.

    `settings` are those of `Settings`. `stages` say what is read when, by default sentence pairs of
    `block_size` all the time. With `resume=True` a run goes on from its last checkpoint; the result
    is that of a run without a break.
    Raises CourseError for an unusable corpus, budget or folder; a folder that holds a run is never
    overwritten, nor used by two runs at once.
    Sources: Devlin et al. 2019; Izsak et al. 2021, "24-hour BERT", and Geiping & Goldstein 2022 for
    the recipe.
    """
    chosen = Settings(**settings)
    stages = [Stage(1.0, block_size=chosen.block_size)] if stages is None else list(stages)
    files = as_paths(corpus)
    check_settings(chosen)
    state = PartialState(cpu=not torch.cuda.is_available())
    share, clock = share_of_batch(chosen, state.num_processes), Budget(chosen.minutes, chosen.steps)
    run = Run(files, Path(output), stages, chosen, share, clock)
    if chosen.time_machine:
        make_folder(Path(chosen.time_machine).parent)
    with clear_errors(), ExitStack() as stack:
        # The others find its vocabulary, pairs and vectors in place.
        with state.main_process_first():
            resume = chosen.resume or not state.is_main_process
            checkpoint = check_output(run.output, run.kept(), resume)
            if state.is_main_process:
                busy = (
                    f"'{output}'에서는 다른 학습이 진행 중입니다. 그 학습이 끝나기를 기다리거나 "
                    "다른 폴더를 주십시오."
                )
                stack.enter_context(lock_folder(run.output, busy))
                rewind_log(run.output, checkpoint)
            tokenizer, text, model, vectors = prepare(run, resume)
            clock.seconds_before = clock.seconds = seconds_logged(run.output)
        trainer = build_trainer(run, tokenizer, text, model, vectors, callbacks)
        trainer.train(resume_from_checkpoint=checkpoint)
        if state.is_main_process:
            trained = trainer.accelerator.unwrap_model(trainer.model)
            save_for_bert_classes(trained, tokenizer, run.output)
        state.wait_for_everyone()
        if state.num_processes > 1:  # left alone, its threads now and then abort a run that is done
            atexit.register(state.destroy_process_group)
    return Pretrained(run.output, read_log(run.output))


def share_of_batch(settings: Settings, processes: int) -> int:
    """The sequences that one process computes at a time."""
    parts = settings.gradient_accumulation_steps
    share, rest = divmod(settings.batch_size, processes * parts)
    if rest:
        raise CourseError(
            f"batch_size {settings.batch_size}을(를) 프로세스 {processes}개와 누적 {parts}회로 "
            "나눌 수 없습니다. 나누어떨어지는 수를 주십시오."
        )
    return share


def prepare(run: Run, resume: bool) -> tuple[Any, TrainingText, Any, tuple | None]:
    """Vocabulary, sentence pairs, model and, with a teacher, its vectors; built, or found again."""
    output, settings, tokenizer = run.output, run.settings, run.settings.tokenizer
    if resume:
        tokenizer = AutoTokenizer.from_pretrained(output)
    elif tokenizer is None:
        tokenizer = train_wordpiece(run.files, settings.vocab_size)
    elif isinstance(tokenizer, str | os.PathLike):
        tokenizer = load_tokenizer(tokenizer)
    text = TrainingText(
        run.stages,
        run.files,
        tokenizer,
        length=(settings.steps or ENDLESS) * settings.batch_size,
        batch_size=settings.batch_size,
        seed=settings.seed,
        progress=run.clock.progress,
        cache_dir=output / "sentence_pairs",
        num_proc=settings.num_proc,
    )
    torch.manual_seed(settings.seed)
    model = initial_model(
        tokenizer,
        settings.init_from,
        settings.num_hidden_layers,
        text,
        hidden_size=settings.hidden_size,
        num_attention_heads=settings.num_attention_heads,
        intermediate_size=4 * settings.hidden_size,
        max_position_embeddings=run.longest,
    )
    if run.longest > model.config.max_position_embeddings:
        raise CourseError(
            f"출발 모델은 {model.config.max_position_embeddings}토큰까지만 읽습니다. "
            "block_size를 그 이하로 줄여 주십시오."
        )
    vectors = settings.teacher and sentences_and_vectors(
        output, run.teacher_files, settings, model.config.hidden_size
    )
    # Last, so that a mistake above leaves no folder that looks like a run.
    if not resume:
        tokenizer.save_pretrained(output)
        write_text(output / SETTINGS, json.dumps(run.kept(), ensure_ascii=False, indent=1))
    return tokenizer, text, model, vectors


def build_trainer(
    run: Run, tokenizer, text: TrainingText, model, vectors: tuple | None, callbacks: Iterable
) -> PretrainingTrainer:
    """Put the parts of a run together: how batches are padded and masked, what is optimised."""
    settings, clock = run.settings, run.clock
    set_fast_attention(model, PartialState().device.type)
    for layer in model.bert.encoder.layer if settings.compile else ():
        layer.compile(dynamic=False)
    keep_memory()
    sentence_loss, last = None, settings.final_mlm_probability or settings.mlm_probability
    if vectors:
        count = settings.teacher_batch_size or max(1, run.share // 8)
        sentence_loss = SentenceVectorLoss(*vectors, tokenizer, count, settings.seed)
    recorders = []
    if settings.time_machine:
        recorders.append(TimeMachine(settings.time_machine, tokenizer, clock))
    # Few widths, so that few kernels are compiled.
    widths = {"multiple": 32 if settings.compile else 16, "longest": run.longest}
    rate = settings.learning_rate
    trainer = PretrainingTrainer(
        model=model,
        optimizers=(muon(model, rate) if settings.optimizer == "muon" else None, None),
        args=training_arguments(run),
        train_dataset=text,
        data_collator=partial(pad_batch, pad_token_id=tokenizer.pad_token_id, **widths),
        callbacks=[clock, *recorders, *callbacks],
        clock=clock,
        masking=Masking(tokenizer, settings.seed, settings.mask_replace_prob),
        mlm_probability=(settings.mlm_probability, last),
        sentence_loss=sentence_loss,
        sentence_weight=settings.teacher_weight,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def training_arguments(run: Run) -> TrainingArguments:
    """Say to the Trainer what is the same for every run, and what this one asked for."""
    settings, on_cpu = run.settings, PartialState().device.type == "cpu"
    arguments = TrainingArguments(
        output_dir=str(run.output),
        max_steps=settings.steps or ENDLESS,
        per_device_train_batch_size=run.share,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        learning_rate=settings.learning_rate,
        weight_decay=WEIGHT_DECAY,
        adam_beta2=BETA2,
        optim="adamw_torch_fused",
        bf16=bf16_supported(),
        train_sampling_strategy="sequential",  # the order is TrainingText's own
        remove_unused_columns=False,
        logging_nan_inf_filter=False,  # it would wait for the device at every step
        logging_steps=settings.logging_steps,
        save_steps=settings.save_steps,
        save_total_limit=settings.save_total_limit,
        report_to="none",
        disable_tqdm=True,
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        seed=settings.seed,
    )
    return on_one_gpu(arguments)
