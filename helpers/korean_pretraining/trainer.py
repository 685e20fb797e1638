"""`transformers.Trainer` by a budget: rate and end by the clock, masks on the device, a log."""

import itertools
import json
import time
from pathlib import Path

import torch
from accelerate.utils import broadcast, reduce
from transformers import Trainer, TrainerCallback

from helpers.korean_pretraining.masking import Masking
from helpers.korean_pretraining.run_folder import LOG
from helpers.korean_pretraining.sentence_vectors import SentenceVectorLoss

WARMUP = 0.05  # of the budget


class Budget(TrainerCallback):
    """Knows the share of the budget that is used: sets the rate, ends a run of minutes."""

    def __init__(self, minutes: float | None, steps: int | None):
        self.minutes, self.steps = minutes, steps
        self.seconds_before = self.seconds = 0.0  # of training, with that of interrupted parts

    def progress(self, step: int) -> float:
        return step / self.steps if self.steps else self.seconds / (60 * self.minutes)

    def factor(self, step: int) -> float:
        """Climb linearly over the first 5 % of the budget, then fall linearly to zero."""
        climb, left = self.progress(step + 1) / WARMUP, 1 - self.progress(step)
        return max(0.0, min(1.0, climb + 1e-3, left / (1 - WARMUP)))

    def on_train_begin(self, args, state, control, **kwargs):
        self.started = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds = self.seconds_before + time.monotonic() - self.started
        if args.world_size > 1:
            # All processes go by the first one's clock: they must stop after the same step.
            self.seconds = broadcast(torch.tensor(self.seconds, device=args.device)).item()
        if self.progress(state.global_step) >= 1:
            control.should_training_stop = control.should_save = True
        if control.should_save or state.global_step % args.save_steps == 0:
            control.should_log = True  # a resumed run finds there how much time is used


class PrintLog(TrainerCallback):
    """Print each row of the log as one line, with the speed."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.last = time.monotonic()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero:
            now = time.monotonic()
            speed, self.last = logs["tokens"] / max(now - self.last, 1e-9), now
            losses = "  ".join(f"{name} {logs[name]:.3f}" for name in logs if "loss" in name)
            rate = f"lr {logs['learning_rate']:.1e}  {speed:,.0f} tokens/s"
            print(f"{logs['step']:>7}  {losses}  {rate}", flush=True)


class PretrainingTrainer(Trainer):
    """`transformers.Trainer` with masks on the device, a rate by budget, a log in JSON."""

    def __init__(
        self,
        *,
        clock: Budget,
        masking: Masking,
        mlm_probability: tuple[float, float],
        sentence_loss: SentenceVectorLoss | None,
        sentence_weight: float,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.clock, self.masking, self.mlm_probability = clock, masking, mlm_probability
        self.sentence_loss, self.sentence_weight = sentence_loss, sentence_weight
        # Kept on the device until they are logged: reading a number waits for it.
        self.parts: dict[str, list[torch.Tensor]] = {}
        self.tokens: list[torch.Tensor] = []
        self.part = 0  # of the step that is accumulated

    def create_scheduler(self, num_training_steps, optimizer=None):
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, self.clock.factor
            )
        return self.lr_scheduler

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Mask all parts of a step before their masked tokens are counted."""
        self.part = 0
        batches = list(itertools.islice(epoch_iterator, num_batches))
        first, last = self.mlm_probability
        share = first + (last - first) * min(1, self.clock.progress(self.state.global_step))
        for batch in batches:
            ids, labels = self.masking(batch["input_ids"], batch.pop("place"), share)
            batch |= {"input_ids": ids, "labels": labels}
            # No more masks than this: the shapes of a step depend on nothing that the device knows.
            most = len(ids) * max(1, round(share * ids.shape[1]))
            batch["max_masked"] = -(-most // 64) * 64
        return batches, self._get_num_items_in_batch(batches, device)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        parts_of_step = self.args.world_size * self.args.gradient_accumulation_steps
        sequences = len(inputs["input_ids"]) * parts_of_step
        inputs = {**inputs, "num_sequences_in_batch": sequences}
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        parts = {name: outputs[name] for name in ("masked_lm_loss", "next_sentence_loss")}
        if self.sentence_loss:
            bert = self.accelerator.unwrap_model(model).bert
            draw = self.state.global_step * self.args.gradient_accumulation_steps + self.part
            draw = draw * self.args.world_size + self.args.process_index
            with self.compute_loss_context_manager():
                parts["sentence_loss"] = self.sentence_loss(bert, draw)
            share = self.sentence_weight / self.args.gradient_accumulation_steps
            loss = loss + share * parts["sentence_loss"]
            self.part += 1
        for name, value in parts.items():
            self.parts.setdefault(name, []).append(value.detach())
        self.tokens.append(inputs["attention_mask"].sum() * self.args.world_size)
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" not in logs:
            return  # the Trainer's closing summary, wrong for a resumed run
        kept = {name: logs[name] for name in ("loss", "learning_rate")}
        logs = {"step": self.state.global_step} | kept
        means = torch.stack([torch.stack(values).mean() for values in self.parts.values()])
        logs |= zip(self.parts, reduce(means, "mean").tolist(), strict=True)
        logs |= {"tokens": int(sum(self.tokens)), "seconds": round(self.clock.seconds, 2)}
        self.parts, self.tokens = {}, []
        if self.is_world_process_zero():
            with open(Path(self.args.output_dir) / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps(logs) + "\n")
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)
