"""Pretrain a BERT on both of its objectives within a budget, with `transformers.Trainer`."""

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback, TrainingArguments

from helpers import CourseError
from helpers.course import bf16_supported, keep_memory
from helpers.disk import clear_errors, write_text
from helpers.korean_pretraining.corpus import as_paths
from helpers.korean_pretraining.masking import Masking
from helpers.korean_pretraining.model import initial_model
from helpers.korean_pretraining.run_folder import (
    SETTINGS,
    check_output,
    lock_folder,
    read_log,
    rewind_log,
    save_for_bert_classes,
)
from helpers.korean_pretraining.sentence_vectors import (
    SentenceVectorLoss,
    sentences_and_vectors,
)
from helpers.korean_pretraining.settings import Settings, check_settings
from helpers.korean_pretraining.stages import Stage, TrainingText, pad_batch
from helpers.korean_pretraining.time_machine import TimeMachine
from helpers.korean_pretraining.trainer import Budget, PretrainingTrainer
from helpers.korean_pretraining.wordpiece import train_wordpiece
from helpers.resources import load_tokenizer

ENDLESS = 10**7  # steps: with minutes it is the clock that stops the run


@dataclass(frozen=True)
class Pretrained:
    """What `pretrain` leaves: the folder of model and tokenizer, and the log as a list of rows."""

    folder: Path
    log: list[dict]


@dataclass(frozen=True)
class Run:
    """What a run reads, where it writes, and its choices."""

    files: list[Path]
    output: Path
    stages: list[Stage]
    settings: Settings

    @property
    def longest(self) -> int:
        return max(stage.block_size for stage in self.stages)

    @property
    def teacher_files(self) -> list[Path]:
        return as_paths(self.settings.teacher_corpus or self.files)

    def kept(self) -> dict:
        """What a resumed run must not change, as JSON can hold it."""
        return self.settings.kept() | {
            "stages": [[s.share, list(s.kinds), s.block_size] for s in self.stages],
            "corpus": names_and_sizes(self.files),
            "teacher_corpus": self.settings.teacher_corpus and names_and_sizes(self.teacher_files),
        }


def names_and_sizes(files: list[Path]) -> list[list]:
    return [[file.name, file.stat().st_size] for file in files]


@dataclass(frozen=True)
class Parts:
    """What is built before training; vectors: a teacher's sentences and vectors, or None."""

    tokenizer: Any
    text: TrainingText
    model: Any
    vectors: tuple | None


def pretrain(
    corpus: str | os.PathLike | Iterable[str | os.PathLike],
    output: str | os.PathLike,
    *,
    stages: Iterable[Stage] | None = None,
    callbacks: Iterable[TrainerCallback] = (),
    **settings: Any,
) -> Pretrained:
    """pretrain("wiki.txt", "model", steps=1000, vocab_size=8000): texts become a BERT in `output`.

    `settings` are those of `Settings`: minutes or steps, a tokenizer, a model to start from, sizes,
    learning rate and the rest. `stages` say what is read when (see `stages`), by default sentence
    pairs of `block_size` all the time. With `resume=True` a run goes on from its last checkpoint in
    `output`; the result is that of a run without a break.
    Raises CourseError for an unusable corpus, budget or folder; a folder that holds a run is never
    overwritten, nor used by two runs at once.
    Sources: Devlin et al. 2019; Izsak et al. 2021, "24-hour BERT", and Geiping & Goldstein 2022 for
    the recipe.
    """
    chosen = Settings(**settings)
    stages = [Stage(1.0, block_size=chosen.block_size)] if stages is None else list(stages)
    run = Run(as_paths(corpus), Path(output), stages, chosen)
    check_settings(chosen)
    state = PartialState(cpu=not torch.cuda.is_available())
    share = share_of_batch(chosen, state.num_processes)
    clock = Budget(chosen.minutes, chosen.steps)
    with clear_errors(), ExitStack() as stack:
        # The others find its vocabulary, pairs and vectors in place.
        with state.main_process_first():
            resume = chosen.resume or not state.is_main_process
            checkpoint = check_output(run.output, run.kept(), resume)
            if state.is_main_process:
                stack.enter_context(lock_folder(run.output))
            parts = prepare(run, clock, resume)
            clock.seconds_before = clock.seconds = rewind_log(run.output, checkpoint)
        trainer = build_trainer(run, parts, clock, share, state.device.type == "cpu", callbacks)
        trainer.train(resume_from_checkpoint=checkpoint)
        if state.is_main_process:
            trained = trainer.accelerator.unwrap_model(trainer.model)
            save_for_bert_classes(trained, parts.tokenizer, run.output)
        state.wait_for_everyone()
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


def prepare(run: Run, clock: Budget, resume: bool) -> Parts:
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
        progress=clock.progress,
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
        output,
        run.teacher_files,
        settings.teacher,
        settings.teacher_prefix,
        settings.teacher_sentences,
        settings.seed,
        model.config.hidden_size,
    )
    # Last, so that a mistake above leaves no folder that looks like a run.
    if not resume:
        tokenizer.save_pretrained(output)
        record = json.dumps(run.kept(), ensure_ascii=False, indent=1)
        write_text(output / SETTINGS, record)
    return Parts(tokenizer, text, model, vectors)


def build_trainer(
    run: Run,
    parts: Parts,
    clock: Budget,
    share: int,
    on_cpu: bool,
    callbacks: Iterable[TrainerCallback],
) -> PretrainingTrainer:
    """Put the parts of a run together: how batches are padded and masked, what is optimised."""
    settings, tokenizer, model = run.settings, parts.tokenizer, parts.model
    if on_cpu:
        # PyTorch's fused attention is slow on the CPU for short sequences and small heads.
        model.set_attn_implementation("eager")
    for layer in model.bert.encoder.layer if settings.compile else ():
        layer.compile(dynamic=False)
    keep_memory()
    file = settings.time_machine
    recorders = [TimeMachine(file, tokenizer, clock)] if file else []
    trainer = PretrainingTrainer(
        model=model,
        args=training_arguments(run, share, on_cpu),
        train_dataset=parts.text,
        # Few widths, so that few kernels are compiled.
        data_collator=partial(
            pad_batch,
            pad_token_id=tokenizer.pad_token_id,
            multiple=16,
            longest=run.longest,
        ),
        callbacks=[clock, *recorders, *callbacks],
        clock=clock,
        masking=Masking.of(
            tokenizer,
            seed=settings.seed,
            mask_replace_prob=settings.mask_replace_prob,
            random_replace_prob=(1 - settings.mask_replace_prob) / 2,
        ),
        mlm_probability=(
            settings.mlm_probability,
            settings.final_mlm_probability or settings.mlm_probability,
        ),
        sentence_loss=parts.vectors
        and SentenceVectorLoss(
            *parts.vectors,
            tokenizer,
            settings.teacher_batch_size or max(1, share // 8),
            settings.seed,
        ),
        sentence_weight=settings.teacher_weight,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def training_arguments(run: Run, share: int, on_cpu: bool) -> TrainingArguments:
    """Say to the Trainer what is the same for every run, and what this one asked for."""
    settings = run.settings
    return TrainingArguments(
        output_dir=str(run.output),
        max_steps=settings.steps or ENDLESS,
        per_device_train_batch_size=share,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        learning_rate=settings.learning_rate,
        weight_decay=0.01,
        adam_beta2=0.98,
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
