"""The command line, `python -m helpers`: doctor, run, pretrain, evaluate, chat and others.

It calls what the notebooks call.
"""

import inspect
import io
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
from helpers.course import be_quiet, check_profile, profile_name, set_offline
from helpers.disk import clear_errors
from helpers.evaluate import evaluate
from helpers.korean_pretraining.settings import Settings

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
app.add_typer(evaluate, name="evaluate")
INTERRUPTED = 130  # what a shell calls ended by Ctrl-C
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

    paths = notebooks.find_notebooks(lessons or [])
    runs = notebooks.run_notebooks(paths, check_profile(profile), output, in_place)
    notebooks.print_table(runs)
    raise typer.Exit(any(result.error for result in runs))


@app.command()
def grade(
    paths: Annotated[list[Path], typer.Argument(metavar="NOTEBOOK...", help="제출된 노트북들.")],
    json: Annotated[
        str | None, typer.Option(help="결과를 쓸 JSON 파일. -이면 표 대신 stdout에 씁니다.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="셀 하나의 시간 제한(초)입니다.")] = 120,
    profile: Annotated[str, typer.Option(help="ci, local, full 가운데 하나입니다.")] = "ci",
) -> None:
    """제출된 노트북을 임시 폴더에서 실행하여 연습 문제를 채점합니다."""
    from helpers import grading

    rows = grading.grade(paths, check_profile(profile), timeout)
    grading.print_table(rows, to_stderr=json == "-")
    if json:
        grading.write_json(rows, json)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="자원의 이름. 없으면 목록을 보여 줍니다.")
    ] = None,
) -> None:
    """모델과 데이터를 미리 받습니다."""
    from helpers import resources

    set_offline(False)
    for name in names or []:
        print(f"{name}: {resources.fetch(name)}")
    if not names:
        for entry in resources.CATALOGUE.values():
            place = f"data/{entry.path}" if entry.path else entry.url
            print(f"{entry.name} ({entry.kind}, {entry.rows}, {entry.licence})")
            print(f"    {entry.description}\n    {place}")


def pretrain(
    corpus: Annotated[
        list[Path],
        typer.Option(help="텍스트 파일(.txt, .xz, .gz): 한 줄에 한 문장, 문서 사이에 빈 줄."),
    ],
    output: Annotated[Path, typer.Option(help="모델, 체크포인트, 기록을 쓸 폴더입니다.")],
    **settings,
) -> None:
    """텍스트로 BERT를 사전학습합니다."""
    from helpers.korean_pretraining.train import pretrain as run_pretraining
    from helpers.korean_pretraining.trainer import PrintLog

    set_offline(profile_name() != "full")
    be_quiet()
    run_pretraining(corpus, output, callbacks=[PrintLog()], **settings)


# The fields of Settings are its options, where it says `**settings`.
own = list(inspect.signature(pretrain).parameters.values())[:-1]
options = inspect.signature(Settings).parameters.values()
pretrain.__signature__ = inspect.Signature([*own, *options])
app.command()(pretrain)


@app.command()
def chat(
    encoder: Annotated[str, typer.Option(help="문장 인코더의 이름이나 폴더.")] = "mini-sentence-ko",
    questions: Annotated[
        Path | None,
        typer.Option(help="자신의 질문과 답: question과 answer 열이 있는 TSV(또는 .csv) 파일."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="이 점수(cosine)부터 답합니다. 더 낮으면 모른다고 합니다.")
    ] = None,
    ask_from: Annotated[
        float | None, typer.Option(help="이 점수부터는 '혹시 이 질문인가요?' 하고 되묻습니다.")
    ] = None,
) -> None:
    """질문을 한 줄씩 읽고 답합니다. Ctrl-D나 Ctrl-C로 끝냅니다."""
    from helpers import similarity_chatbot as lesson

    be_quiet()
    rows = lesson.read_table(questions, "question", "answer") if questions else []
    texts = [[row[column] for row in rows] for column in ("question", "answer")]
    sentence_encoder = lesson.load_sentence_encoder(encoder)
    if not rows or threshold is None or ask_from is None:
        course = lesson.course_chatbot(sentence_encoder)
        threshold = course.threshold if threshold is None else threshold
        ask_from = course.ask_from if ask_from is None else ask_from
    # A chatbot of one's own has the course's thresholds, unless they are given: there are no
    # queries to learn from.
    chatbot = lesson.SimilarityChatbot(*texts, sentence_encoder) if rows else course
    chatbot.threshold, chatbot.ask_from = threshold, ask_from
    lesson.talk(chatbot)


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="모델의 이름이나 폴더.")],
    output: Annotated[Path, typer.Option(help="ONNX 파일과 토크나이저를 쓸 폴더입니다.")],
) -> None:
    """브라우저의 transformers.js가 읽는 ONNX 파일(fp32와 int8)을 씁니다."""
    be_quiet()
    try:
        from helpers.export import export as export_model
    except ModuleNotFoundError as error:
        raise CourseError(
            f"{error.name} 패키지가 없습니다. `pip install -c constraints.txt -e .[site]`로 "
            "설치한 뒤 다시 실행하십시오."
        ) from error
    for file, size in export_model(model, output).items():
        print(f"{size / 1e6:8.2f}MB  {output / file}")


def spread(arguments: list[str]) -> list[str]:
    """Let options that take many files take them as a shell's `*` gives them.

    Example: ["--text", "a", "b", "--seed", "1"] -> ["--text", "a", "--text", "b", "--seed", "1"].
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
    """Run a command; an error of the user is one line and exit code 2, Ctrl-C one line and 130."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # Windows gives files and pipes an encoding without Hangul.
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8")
    try:
        with clear_errors():
            status = app(spread(sys.argv[1:]), standalone_mode=False) or 0
        if status == INTERRUPTED:  # typer has caught Ctrl-C and says nothing
            print("중단했습니다.", file=sys.stderr)
        return status
    except CourseError as error:
        print(f"오류: {error}", file=sys.stderr)
    except USAGE_ERROR as error:
        if what := error.format_message():  # nothing to say where the help was printed already
            advice = "`python -m helpers --help`를 보십시오."
            print(f"오류: 명령을 이해하지 못했습니다({what}). {advice}", file=sys.stderr)
    except (KeyboardInterrupt, typer.Abort):
        print("중단했습니다.", file=sys.stderr)
        return INTERRUPTED
    return 2


if __name__ == "__main__":
    sys.exit(main())
