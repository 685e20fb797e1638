"""Record what a model answers while it learns, for lesson 04's time machine."""

import json
import os
from pathlib import Path

from transformers import TrainerCallback

from helpers.batches import encode, masked_log_probs
from helpers.disk import write_text

# Parts of the budget: from nothing, most happens early. The record beside mini-bert-ko has moments
# of its own: it was made afterwards, of weights that had been kept.
MOMENTS = (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1)
PROMPTS = (
    "서울은 대한민국의 [MASK]이다.",
    "대한민국의 수도는 [MASK]이다.",
    "이순신은 [MASK] 중기의 무신이다.",
    "물은 수소와 [MASK]로 이루어져 있다.",
    "지구는 [MASK]의 둘레를 돈다.",
    "봄, 여름, [MASK], 겨울",
    "세종은 한글을 [MASK].",
    "일본의 수도는 [MASK]이다.",
    "한라산은 [MASK]에 있는 산이다.",
    "축구는 두 [MASK]이 겨루는 경기이다.",
    "그는 대학교를 졸업하고 [MASK]로 활동하였다.",
    "비가 오면 우산을 [MASK].",
)


def answers(model, tokenizer) -> list[list[list]]:
    """Give five answers to each prompt's mask, best first, as [piece, probability]."""
    rows = [encode(tokenizer, prompt) for prompt in PROMPTS]
    found: list = [[]] * len(rows)
    for number, log_probs in masked_log_probs(model, tokenizer, rows):
        best = log_probs[0].exp().topk(5)
        pieces = tokenizer.convert_ids_to_tokens(best.indices.tolist())
        shares = [round(share, 4) for share in best.values.tolist()]
        found[number] = list(map(list, zip(pieces, shares, strict=True)))
    return found


class TimeMachine(TrainerCallback):
    """Write the answers at `MOMENTS` of a run to a JSON file, in which a resumed run goes on.

    {"prompts": […], "moments": [{"step", "minutes", "answers"}]}
    """

    def __init__(self, file: str | os.PathLike, tokenizer, clock):
        self.file, self.tokenizer, self.clock = Path(file), tokenizer, clock

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        if state.is_world_process_zero:
            known = {"moments": []}
            if state.global_step and self.file.exists():  # not what a former run has left
                known = json.loads(self.file.read_text(encoding="utf-8"))
            self.moments = [row for row in known["moments"] if row["step"] <= state.global_step]
            self.record(state, model)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.is_world_process_zero:
            self.record(state, model)

    def record(self, state, model) -> None:
        """Add a moment when the next one has come."""
        due = len(self.moments)
        if due == len(MOMENTS) or self.clock.progress(state.global_step) < MOMENTS[due]:
            return
        row = {"step": state.global_step, "minutes": round(self.clock.seconds / 60, 2)}
        self.moments.append(row | {"answers": answers(model, self.tokenizer)})
        content = {"prompts": PROMPTS, "moments": self.moments}
        write_text(self.file, json.dumps(content, ensure_ascii=False))
