"""Pretrain a BERT on both of its objectives within a budget, with `transformers.Trainer`."""

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import which
from types import SimpleNamespace

import torch
from accelerate import PartialState
from transformers import (
    AutoModelForPreTraining,
    AutoTokenizer,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)

from helpers import CourseError
from helpers.course import bf16_supported, keep_memory
from helpers.disk import clear_errors, write_text
from helpers.korean_pretraining.corpus import as_paths
from helpers.korean_pretraining.masking import Masking
from helpers.korean_pretraining.model import (
    BertForPreTraining,
    new_model,
    start_at_frequencies,
    warm_start,
)
from helpers.korean_pretraining.optimizers import muon
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
from helpers.korean_pretraining.stages import Stage, TrainingText, pad_batch
from helpers.korean_pretraining.time_machine import TimeMachine
from helpers.korean_pretraining.trainer import Budget, PretrainingTrainer
from helpers.korean_pretraining.wordpiece import train_wordpiece
from helpers.resources import model_folder

ENDLESS = 10**7  # steps: with minutes it is the clock that stops the run


@dataclass(frozen=True)
class Pretrained:
    """What `pretrain` leaves: the folder with model and tokenizer, and the log as a list of rows."""

    folder: Path
    log: list[dict]


def pretrain(
    corpus: str | os.PathLike | Iterable[str | os.PathLike],
    output: str | os.PathLike,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    tokenizer=None,
    vocab_size: int = 16_000,
    init_from: str | os.PathLike | None = None,
    hidden_size: int = 256,
    num_hidden_layers: int = 4,
    num_attention_heads: int = 4,
    block_size: int = 128,
    batch_size: int = 32,
    gradient_accumulation_steps: int = 1,
    learning_rate: float = 1e-3,
    optimizer: str = "adamw",
    mlm_probability: float = 0.15,
    final_mlm_probability: float | None = None,
    mask_replace_prob: float = 0.8,
    whole_word_mask: bool = False,
    stages: Iterable[Stage] | None = None,
    compile: bool = False,
    teacher: str | os.PathLike | None = None,
    teacher_prefix: str = "",
    teacher_sentences: int = 30_000,
    teacher_weight: float = 5.0,
    seed: int = 0,
    resume: bool = False,
    logging_steps: int = 10,
    save_steps: int = 200,
    save_total_limit: int = 2,
    num_proc: int = 1,
    time_machine: str | os.PathLike | None = None,
    callbacks: Iterable[TrainerCallback] = (),
) -> Pretrained:
    """Train a BERT from text files, from scratch or from another encoder, and save it in `output`.

    The budget is `minutes` of training or a number of `steps`; the learning rate climbs to `learning_rate` in its first 5 %
    and falls to zero at its end. `batch_size` counts the sequences of one step over all processes. `tokenizer` is one of yours;
    otherwise a WordPiece vocabulary of `vocab_size` is learned from the corpus. `init_from` is a folder or hub id: with our own
    vocabulary it is continued as it is, with another one its first `num_hidden_layers` layers are a warm start (the size
    arguments are then the source's). The share of masked pieces moves evenly from `mlm_probability` to
    `final_mlm_probability`; of them `mask_replace_prob` become `[MASK]`, half of the rest another piece. `stages` say what is
    read when (see `stages`), by default sentence pairs of `block_size` all the time. `compile` lets `torch.compile` build the
    layers; `optimizer` is "adamw" or "muon" (see `optimizers`). `teacher` adds the sentence vector objective (see
    `sentence_vectors`). `time_machine` is a file that records the answers of ten moments.
    `resume` goes on from the last checkpoint in `output`; the result is that of a run without a break.
    Raises `CourseError` for an unusable corpus, budget or folder; a folder that holds a run is never overwritten, nor used by
    two runs at once.
    Sources: Devlin et al. 2019; Izsak et al. 2021, "24-hour BERT", and Geiping & Goldstein 2022 for the recipe.
    """
    options = SimpleNamespace(**locals())
    options.files, options.output = as_paths(corpus), Path(output)
    options.stages = [Stage(1.0, block_size=block_size)] if stages is None else list(stages)
    options.longest = max(stage.block_size for stage in options.stages)
    check_options(options)
    state = PartialState(cpu=not torch.cuda.is_available())
    share, rest = divmod(batch_size, state.num_processes * gradient_accumulation_steps)
    if rest:
        raise CourseError(
            f"batch_size {batch_size}을(를) 프로세스 {state.num_processes}개와 누적 {gradient_accumulation_steps}회로 나눌 수 "
            "없습니다. 나누어떨어지는 수를 주십시오."
        )
    clock = Budget(minutes, steps)
    with clear_errors(), ExitStack() as stack:
        # The others find its vocabulary, pairs and vectors in place.
        with state.main_process_first():
            options.resume = resume or not state.is_main_process
            checkpoint = check_output(options.output, settings_of(options), options.resume)
            if state.is_main_process:
                stack.enter_context(lock_folder(options.output))
            tokenizer, text, model, vectors = prepare(options, clock)
            clock.seconds_before = clock.seconds = rewind_log(options.output, checkpoint)
        on_cpu = state.device.type == "cpu"
        if on_cpu:
            # PyTorch's fused attention is slow on the CPU for the short sequences and small heads of a small BERT.
            model.set_attn_implementation("eager")
        for layer in model.bert.encoder.layer if compile else ():
            layer.compile(dynamic=False)
        keep_memory()
        recorders = [TimeMachine(time_machine, tokenizer, clock)] if time_machine else []
        trainer = PretrainingTrainer(
            model=model,
            optimizers=(muon(model, learning_rate) if optimizer == "muon" else None, None),
            args=training_arguments(options, share, on_cpu),
            train_dataset=text,
            # Few widths, so that few kernels are compiled.
            data_collator=partial(
                pad_batch,
                pad_token_id=tokenizer.pad_token_id,
                multiple=16,
                longest=options.longest,
            ),
            callbacks=[clock, *recorders, *callbacks],
            clock=clock,
            masking=Masking.of(
                tokenizer,
                seed=seed,
                whole_word_mask=whole_word_mask,
                mask_replace_prob=mask_replace_prob,
                random_replace_prob=(1 - mask_replace_prob) / 2,
            ),
            mlm_probability=(mlm_probability, final_mlm_probability or mlm_probability),
            sentence_loss=vectors
            and SentenceVectorLoss(*vectors, tokenizer, max(1, share // 8), seed),
            sentence_weight=teacher_weight,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=checkpoint)
        if state.is_main_process:
            trained = trainer.accelerator.unwrap_model(trainer.model)
            save_for_bert_classes(trained, tokenizer, options.output)
        state.wait_for_everyone()
    return Pretrained(options.output, read_log(options.output))


def check_options(options: SimpleNamespace) -> None:
    """Raise `CourseError` for values with which nothing can be trained here."""
    if (options.minutes is None) == (options.steps is None):
        raise CourseError("예산을 하나만 정해 주십시오: minutes(분) 또는 steps(스텝 수)입니다.")
    for name in POSITIVE:
        if getattr(options, name) is not None and getattr(options, name) <= 0:
            raise CourseError(f"{name}은(는) 0보다 커야 합니다. 양수를 주십시오.")
    for name in ("mlm_probability", "final_mlm_probability", "mask_replace_prob"):
        if not 0 <= (getattr(options, name) or 0) <= 1:
            raise CourseError(f"{name}은(는) 비율입니다. 0 이상 1 이하인 수를 주십시오.")
    if options.hidden_size % options.num_attention_heads:
        raise CourseError(
            f"hidden_size {options.hidden_size}을(를) num_attention_heads {options.num_attention_heads}(으)로 나눌 수 없습니다. "
            "나누어떨어지는 수를 주십시오."
        )
    if options.compile and not (torch.cuda.is_available() or which("g++") or which("clang++")):
        raise CourseError(
            "compile에는 C++ 컴파일러가 필요합니다. g++를 설치하거나 compile 없이 실행해 주십시오."
        )
    if options.optimizer not in ("adamw", "muon"):
        raise CourseError(
            f"optimizer {options.optimizer!r}은(는) 없습니다. adamw나 muon을 주십시오."
        )
    if options.optimizer == "muon" and not bf16_supported():
        raise CourseError(
            "muon은 bf16을 계산하는 장치에서만 쓸 만한 속도가 납니다. 이 컴퓨터에서는 adamw를 주십시오."
        )


def settings_of(options: SimpleNamespace) -> dict:
    """Give what a resumed run must not change, as JSON can hold it."""
    settings = {name: value for name, value in vars(options).items() if name not in NOT_SETTINGS}
    for name in ("init_from", "teacher"):
        settings[name] = settings[name] and str(settings[name])
    settings["stages"] = [[s.share, list(s.kinds), s.block_size] for s in options.stages]
    settings["corpus"] = [[path.name, path.stat().st_size] for path in options.files]
    return settings


def prepare(options: SimpleNamespace, clock: "Budget") -> tuple:
    """Build or find what a run needs: tokenizer, text, model and, with a teacher, its sentences and vectors."""
    output, tokenizer = options.output, options.tokenizer
    if options.resume:
        tokenizer = AutoTokenizer.from_pretrained(output)
    elif tokenizer is None:
        tokenizer = train_wordpiece(options.files, options.vocab_size)
    text = TrainingText(
        options.stages,
        options.files,
        tokenizer,
        length=(options.steps or ENDLESS) * options.batch_size,
        batch_size=options.batch_size,
        seed=options.seed,
        progress=clock.progress,
        cache_dir=output / "sentence_pairs",
        num_proc=options.num_proc,
    )
    torch.manual_seed(options.seed)
    model = initial_model(
        tokenizer,
        options.init_from,
        options.num_hidden_layers,
        text,
        hidden_size=options.hidden_size,
        num_attention_heads=options.num_attention_heads,
        intermediate_size=4 * options.hidden_size,
        max_position_embeddings=options.longest,
    )
    if options.longest > model.config.max_position_embeddings:
        raise CourseError(
            f"출발 모델은 {model.config.max_position_embeddings}토큰까지만 읽습니다. block_size를 그 이하로 줄여 주십시오."
        )
    vectors = options.teacher and sentences_and_vectors(
        output,
        options.files,
        options.teacher,
        options.teacher_prefix,
        options.teacher_sentences,
        options.seed,
        model.config.hidden_size,
    )
    # Last, so that a mistake above leaves no folder that looks like a run.
    if not options.resume:
        tokenizer.save_pretrained(output)
        record = json.dumps(settings_of(options), ensure_ascii=False, indent=1)
        write_text(output / SETTINGS, record)
    return tokenizer, text, model, vectors


def training_arguments(options: SimpleNamespace, share: int, on_cpu: bool) -> TrainingArguments:
    """Say to the Trainer what is the same for every run, and what this one asked for."""
    return TrainingArguments(
        output_dir=str(options.output),
        max_steps=options.steps or ENDLESS,
        per_device_train_batch_size=share,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        learning_rate=options.learning_rate,
        weight_decay=0.01,
        adam_beta2=0.98,
        optim="adamw_torch_fused",
        bf16=bf16_supported(),
        train_sampling_strategy="sequential",  # the order is TrainingText's own
        remove_unused_columns=False,
        logging_nan_inf_filter=False,  # it would wait for the device at every step
        logging_steps=options.logging_steps,
        save_steps=options.save_steps,
        save_total_limit=options.save_total_limit,
        report_to="none",
        disable_tqdm=True,
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        seed=options.seed,
    )


# What may differ when a run is resumed: where things are, how long it goes on, how often it reports.
NOT_SETTINGS = set(
    "corpus files output longest minutes steps tokenizer resume logging_steps save_steps save_total_limit num_proc "
    "callbacks compile time_machine".split()
)


POSITIVE = (
    "minutes steps vocab_size hidden_size num_hidden_layers num_attention_heads batch_size gradient_accumulation_steps "
    "learning_rate mlm_probability final_mlm_probability teacher_sentences logging_steps save_steps save_total_limit num_proc"
).split()


def initial_model(
    tokenizer,
    init_from: str | None,
    num_hidden_layers: int,
    text: TrainingText | None = None,
    **sizes,
) -> BertForPreTraining:
    """Build a new model, continue one that has our vocabulary, or start warm from one that has not.

    A new head begins with how often each piece occurs in `text`.
    """
    if init_from is None:
        model = new_model(tokenizer, num_hidden_layers=num_hidden_layers, **sizes)
    else:
        folder = model_folder(init_from)
        source_tokenizer = AutoTokenizer.from_pretrained(folder)
        if source_tokenizer.get_vocab() == tokenizer.get_vocab():
            return BertForPreTraining.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        source = AutoModelForPreTraining.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True
        )
        model = warm_start(source, source_tokenizer, tokenizer, num_hidden_layers)
    if text is not None:
        start_at_frequencies(model, text.piece_counts())
    return model
