"""The command line: `python -m helpers doctor | run | pretrain | evaluate | chat | fetch | export`.

It calls what the notebooks call.
"""

import sys
from pathlib import Path
from typing import Annotated

if sys.version_info < (3, 11):  # noqa: UP036 (an old Python must get a sentence, no traceback)
    sys.exit("Python 3.11 이상이 필요합니다. 설치한 뒤 `make lab`을 실행하십시오.")
try:
    import typer
except ModuleNotFoundError:
    sys.exit("강의의 패키지가 아직 없습니다. `make lab`으로 설치한 뒤 다시 실행하십시오.")

from helpers import CourseError
from helpers.evaluate import evaluate

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
app.add_typer(evaluate, name="evaluate")
USAGE_ERROR = typer.BadParameter.__mro__[1]  # click's UsageError, wherever typer keeps it


@app.command()
def doctor(
    renew: Annotated[
        bool,
        typer.Option("--renew", help="내장 파일을 일부러 바꾼 뒤 data/SHA256SUMS를 새로 씁니다."),
    ] = False,
) -> None:
    """이 컴퓨터가 강의를 실행할 준비가 되었는지 살펴봅니다."""
    from helpers import doctor as examination
    from helpers import resources

    if renew:
        resources.write_sums()
    lines = examination.examine()
    print(examination.report(lines))
    raise typer.Exit(any(status == examination.FAIL for status, _, _ in lines))


@app.command()
def run(
    lessons: Annotated[
        list[str] | None, typer.Argument(help="수업의 번호나 이름. 없으면 모든 수업입니다.")
    ] = None,
    profile: Annotated[str, typer.Option(help="ci, local, full 가운데 하나입니다.")] = "local",
    in_place: Annotated[
        bool, typer.Option("--in-place", help="실행한 노트북을 notebooks/에도 씁니다.")
    ] = False,
    output: Annotated[Path, typer.Option(help="사본과 HTML을 쓸 폴더입니다.")] = Path("build"),
) -> None:
    """노트북을 실행하고 사본, HTML, 결과표를 만듭니다."""
    from helpers import notebooks
    from helpers.course import check_profile

    paths = notebooks.find_notebooks(lessons or [])
    runs = notebooks.run_notebooks(paths, check_profile(profile), output, in_place)
    notebooks.print_table(runs)
    raise typer.Exit(any(result.error for result in runs))


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="자원의 이름. 없으면 목록을 보여 줍니다.")
    ] = None,
) -> None:
    """모델과 데이터를 미리 받습니다."""
    from helpers import resources
    from helpers.course import set_offline

    set_offline(False)
    for name in names or []:
        print(f"{name}: {resources.fetch(name)}")
    if not names:
        for entry in resources.CATALOGUE.values():
            place = f"data/{entry.path}" if entry.path else entry.url
            print(f"{entry.name} ({entry.kind}, {entry.rows}, {entry.licence})")
            print(f"    {entry.description}\n    {place}")


@app.command()
def pretrain(
    corpus: Annotated[
        list[Path],
        typer.Option(help="텍스트 파일(.txt, .xz, .gz): 한 줄에 한 문장, 문서 사이에 빈 줄."),
    ],
    output: Annotated[Path, typer.Option(help="모델, 체크포인트, 기록을 쓸 폴더입니다.")],
    minutes: Annotated[float | None, typer.Option(help="학습 예산(분)입니다.")] = None,
    steps: Annotated[int | None, typer.Option(help="학습 예산(스텝)입니다.")] = None,
    init_from: Annotated[
        str | None, typer.Option(help="출발 모델: 자원의 이름, 폴더, 또는 허브의 이름.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="쓸 토크나이저의 이름이나 폴더. 없으면 말뭉치에서 배웁니다.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="output의 마지막 체크포인트부터 이어서 합니다.")
    ] = False,
    vocab_size: Annotated[int, typer.Option(help="배울 어휘(vocabulary)의 크기.")] = 16_000,
    hidden_size: Annotated[
        int, typer.Option(help="새 모델의 너비. 출발 모델이 있으면 그 모델의 값을 씁니다.")
    ] = 256,
    num_hidden_layers: Annotated[
        int, typer.Option(help="층의 수. 어휘가 다른 출발 모델에서는 앞에서부터 이만큼만 씁니다.")
    ] = 4,
    num_attention_heads: Annotated[int, typer.Option(help="새 모델의 어텐션 헤드 수.")] = 4,
    block_size: Annotated[int, typer.Option(help="문장 쌍의 최대 토큰 수.")] = 128,
    batch_size: Annotated[int, typer.Option(help="한 스텝의 문장 쌍 수(모든 프로세스 합).")] = 32,
    gradient_accumulation_steps: Annotated[
        int, typer.Option(help="한 스텝을 몇 번에 나누어 계산할지. 메모리가 모자랄 때 늘립니다.")
    ] = 1,
    learning_rate: Annotated[
        float, typer.Option(help="학습률의 최댓값. 예산의 5 %까지 오르고 끝에서 0이 됩니다.")
    ] = 1e-3,
    optimizer: Annotated[
        str, typer.Option(help="adamw, 또는 층의 행렬만 muon(bf16 장치가 있어야 합니다).")
    ] = "adamw",
    mlm_probability: Annotated[float, typer.Option(help="가릴 토큰의 비율.")] = 0.15,
    final_mlm_probability: Annotated[
        float | None, typer.Option(help="끝에서의 비율. 주면 처음 비율에서 고르게 옮겨 갑니다.")
    ] = None,
    mask_replace_prob: Annotated[
        float, typer.Option(help="가릴 토큰 가운데 [MASK]로 바꿀 비율. 나머지의 반은 다른 토큰.")
    ] = 0.8,
    compile: Annotated[
        bool, typer.Option("--compile", help="torch.compile을 씁니다(C++ 컴파일러 필요).")
    ] = False,
    whole_word_mask: Annotated[
        bool, typer.Option("--whole-word-mask", help="낱말을 통째로 가립니다.")
    ] = False,
    teacher: Annotated[
        str | None, typer.Option(help="문장 벡터를 가르칠 인코더의 이름이나 폴더.")
    ] = None,
    teacher_prefix: Annotated[
        str, typer.Option(help='teacher에 넣는 문장 앞에 붙일 글(e5 계열은 "query: ").')
    ] = "",
    teacher_sentences: Annotated[
        int, typer.Option(help="teacher가 미리 벡터로 바꿀 문장의 수.")
    ] = 30_000,
    teacher_weight: Annotated[float, typer.Option(help="teacher를 따라가는 손실의 무게.")] = 5.0,
    seed: Annotated[int, typer.Option(help="난수의 시드. 같으면 같은 결과입니다.")] = 0,
    logging_steps: Annotated[int, typer.Option(help="기록의 간격(스텝).")] = 10,
    save_steps: Annotated[int, typer.Option(help="체크포인트의 간격(스텝).")] = 200,
    save_total_limit: Annotated[int, typer.Option(help="남겨 둘 체크포인트의 수.")] = 2,
    num_proc: Annotated[int, typer.Option(help="문장 쌍을 만드는 프로세스 수.")] = 1,
    time_machine: Annotated[
        Path | None, typer.Option(help="열 순간의 빈칸 답을 기록할 JSON 파일입니다.")
    ] = None,
) -> None:
    """텍스트로 BERT를 사전학습합니다."""
    options = dict(locals())
    from helpers.course import be_quiet, profile_name, set_offline
    from helpers.korean_pretraining.train import pretrain as run_pretraining
    from helpers.korean_pretraining.trainer import PrintLog
    from helpers.resources import load_tokenizer

    set_offline(profile_name() != "full")
    be_quiet(profile_name())
    options["tokenizer"] = tokenizer and load_tokenizer(tokenizer)
    run_pretraining(**options, callbacks=[PrintLog()])


@app.command()
def chat(
    encoder: Annotated[str, typer.Option(help="문장 인코더의 이름이나 폴더.")] = "mini-sentence-ko",
    questions: Annotated[
        Path | None,
        typer.Option(help="자신의 질문과 답: question과 answer 열이 있는 TSV(또는 .csv) 파일."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="이 점수(cosine)보다 낮으면 모른다고 답합니다.")
    ] = None,
) -> None:
    """질문을 한 줄씩 읽고 답합니다. Ctrl-D나 Ctrl-C로 끝냅니다."""
    from helpers.course import be_quiet, profile_name
    from helpers.similarity_chatbot import (
        SimilarityChatbot,
        course_chatbot,
        load_sentence_encoder,
        read_table,
        talk,
    )

    be_quiet(profile_name())
    rows = read_table(questions, "question", "answer") if questions else []
    texts = [[row[column] for row in rows] for column in ("question", "answer")]
    sentence_encoder = load_sentence_encoder(encoder)
    if not rows or threshold is None:
        chatbot = course_chatbot(sentence_encoder)
        threshold = chatbot.threshold if threshold is None else threshold
    if rows:  # with the course's threshold, unless one is given: there are no queries to learn from
        chatbot = SimilarityChatbot(*texts, sentence_encoder)
    chatbot.threshold = threshold
    talk(chatbot)


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="모델의 이름이나 폴더.")],
    output: Annotated[Path, typer.Option(help="ONNX 파일과 토크나이저를 쓸 폴더입니다.")],
) -> None:
    """브라우저의 transformers.js가 읽는 ONNX 파일(fp32와 int8)을 씁니다."""
    from helpers.course import be_quiet, profile_name

    be_quiet(profile_name())
    try:
        from helpers.export import export as export_model
    except ModuleNotFoundError as error:
        raise CourseError(
            f"{error.name} 패키지가 없습니다. `pip install -c constraints.txt -e .[site]`로 설치한 뒤 "
            "다시 실행하십시오."
        ) from error
    for file, size in export_model(model, output).items():
        print(f"{size / 1e6:8.2f}MB  {output / file}")


def spread(arguments: list[str]) -> list[str]:
    """Let options that take many files take them as a shell's `*` gives them.

    Example: ["--corpus", "a", "b", "--output", "c"] -> ["--corpus", "a", "--corpus", "b", "--output", "c"].
    """
    many = {"--corpus", "--text"} | ({"--train", "--test"} if "finetuning" in arguments else set())
    result: list[str] = []
    option = None
    for argument in arguments:
        if argument.startswith("-"):
            option = argument if argument in many else None
        elif option and result[-1] != option:
            result.append(option)
        result.append(argument)
    return result


def main() -> int:
    """Run a command; an error of the user is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if not stream.isatty():  # Windows gives files and pipes an encoding without Hangul
            stream.reconfigure(encoding="utf-8")
    try:
        return app(spread(sys.argv[1:]), standalone_mode=False) or 0
    except CourseError as error:
        print(f"오류: {error}", file=sys.stderr)
    except USAGE_ERROR as error:
        if what := error.format_message():  # nothing to say where the help was printed already
            advice = "`python -m helpers --help`를 보십시오."
            print(f"오류: 명령을 이해하지 못했습니다({what}). {advice}", file=sys.stderr)
    except (KeyboardInterrupt, typer.Abort):
        print("중단했습니다.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
