"""What can be chosen for a pretraining run: the arguments of `pretrain`, the command's options."""

from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Annotated

from typer import Option

from helpers import CourseError
from helpers.course import bf16_supported, device_name

POSITIVE = (
    "minutes steps vocab_size hidden_size num_hidden_layers num_attention_heads batch_size "
    "gradient_accumulation_steps learning_rate mlm_probability final_mlm_probability "
    "teacher_sentences teacher_batch_size logging_steps save_steps save_total_limit num_proc"
).split()
# What may differ when a run is resumed: how long it goes on, how often it reports.
FREE = set(
    "minutes steps tokenizer resume compile logging_steps save_steps save_total_limit num_proc "
    "time_machine".split()
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The choices of a run, with the words that `python -m helpers pretrain --help` shows.

    `tokenizer` may also be one of yours. `init_from` with our own vocabulary is continued as it is;
    with another one its first `num_hidden_layers` layers are a warm start. `teacher`: see
    `sentence_vectors`.
    """

    minutes: Annotated[float | None, Option(help="학습 예산(분)입니다.")] = None
    steps: Annotated[int | None, Option(help="학습 예산(스텝)입니다.")] = None
    init_from: Annotated[
        str | None, Option(help="출발 모델: 자원의 이름, 폴더, 또는 허브의 이름.")
    ] = None
    tokenizer: Annotated[
        str | None, Option(help="쓸 토크나이저의 이름이나 폴더. 없으면 말뭉치에서 배웁니다.")
    ] = None
    resume: Annotated[
        bool, Option("--resume", help="output의 마지막 체크포인트부터 이어서 합니다.")
    ] = False
    vocab_size: Annotated[int, Option(help="배울 어휘(vocabulary)의 크기.")] = 16_000
    hidden_size: Annotated[
        int, Option(help="새 모델의 너비. 출발 모델이 있으면 그 모델의 값을 씁니다.")
    ] = 256
    num_hidden_layers: Annotated[
        int, Option(help="층의 수. 어휘가 다른 출발 모델에서는 앞에서부터 이만큼만 씁니다.")
    ] = 4
    num_attention_heads: Annotated[int, Option(help="새 모델의 어텐션 헤드 수.")] = 4
    block_size: Annotated[int, Option(help="문장 쌍의 최대 토큰 수.")] = 128
    batch_size: Annotated[int, Option(help="한 스텝의 문장 쌍 수(모든 프로세스 합).")] = 32
    gradient_accumulation_steps: Annotated[
        int, Option(help="한 스텝을 몇 번에 나누어 계산할지. 메모리가 모자랄 때 늘립니다.")
    ] = 1
    learning_rate: Annotated[
        float, Option(help="학습률의 최댓값. 예산의 5 %까지 오르고 끝에서 0이 됩니다.")
    ] = 1e-3
    optimizer: Annotated[
        str, Option(help="adamw, 또는 층의 행렬은 muon(bf16 장치가 있어야 합니다).")
    ] = "adamw"
    mlm_probability: Annotated[float, Option(help="가릴 토큰의 비율.")] = 0.15
    final_mlm_probability: Annotated[
        float | None, Option(help="끝에서의 비율. 주면 처음 비율에서 고르게 옮겨 갑니다.")
    ] = None
    mask_replace_prob: Annotated[
        float, Option(help="가릴 토큰 가운데 [MASK]로 바꿀 비율. 나머지의 반은 다른 토큰.")
    ] = 0.8
    compile: Annotated[
        bool, Option("--compile", help="torch.compile을 씁니다(C++ 컴파일러 필요).")
    ] = False
    teacher: Annotated[str | None, Option(help="문장 벡터를 가르칠 인코더의 이름이나 폴더.")] = None
    teacher_prefix: Annotated[
        str, Option(help='teacher에 넣는 문장 앞에 붙일 글(e5 계열은 "query: ").')
    ] = ""
    teacher_corpus: Annotated[
        str | None, Option(help="teacher에 줄 문장을 뽑을 파일(기본값은 말뭉치 전체).")
    ] = None
    teacher_sentences: Annotated[int, Option(help="teacher가 미리 벡터로 바꿀 문장의 수.")] = 30_000
    teacher_batch_size: Annotated[
        int | None, Option(help="한 스텝에 teacher를 따라갈 문장의 수(기본값은 배치의 8분의 1).")
    ] = None
    teacher_weight: Annotated[float, Option(help="teacher를 따라가는 손실의 무게.")] = 5.0
    seed: Annotated[int, Option(help="난수의 시드. 같으면 같은 결과입니다.")] = 0
    logging_steps: Annotated[int, Option(help="기록의 간격(스텝).")] = 10
    save_steps: Annotated[int, Option(help="체크포인트의 간격(스텝).")] = 200
    save_total_limit: Annotated[int, Option(help="남겨 둘 체크포인트의 수.")] = 2
    num_proc: Annotated[int, Option(help="문장 쌍을 만드는 프로세스 수.")] = 1
    time_machine: Annotated[
        Path | None, Option(help="열 순간의 빈칸 답을 기록할 JSON 파일입니다.")
    ] = None


def check_settings(settings: Settings) -> None:
    """Raise `CourseError` for values with which nothing can be trained here."""
    if (settings.minutes is None) == (settings.steps is None):
        raise CourseError("예산을 하나만 정해 주십시오: minutes(분) 또는 steps(스텝 수)입니다.")
    for name in POSITIVE:
        if getattr(settings, name) is not None and getattr(settings, name) <= 0:
            raise CourseError(f"{name}은(는) 0보다 커야 합니다. 양수를 주십시오.")
    for name in ("mlm_probability", "final_mlm_probability", "mask_replace_prob"):
        if not 0 <= (getattr(settings, name) or 0) <= 1:
            raise CourseError(f"{name}은(는) 비율입니다. 0 이상 1 이하인 수를 주십시오.")
    if settings.optimizer not in ("adamw", "muon"):
        raise CourseError(f"optimizer {settings.optimizer!r}은(는) 없습니다. adamw나 muon입니다.")
    if settings.optimizer == "muon" and not bf16_supported():
        raise CourseError(
            "muon은 bf16을 계산하는 장치가 있어야 쓸 만합니다. 이 컴퓨터에서는 adamw를 주십시오."
        )
    if settings.hidden_size % settings.num_attention_heads:
        raise CourseError(
            f"hidden_size {settings.hidden_size}을(를) num_attention_heads "
            f"{settings.num_attention_heads}(으)로 나눌 수 없습니다. 나누어떨어지는 수를 주십시오."
        )
    if settings.compile and not (device_name("full") == "cuda" or which("g++") or which("clang++")):
        raise CourseError(
            "compile에는 C++ 컴파일러가 필요합니다. g++를 설치하거나 compile 없이 실행해 주십시오."
        )
