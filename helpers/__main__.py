"""The command line: `python -m helpers doctor | run | pretrain | evaluate | chat | fetch | export`.

It calls what the notebooks call.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

if sys.version_info < (3, 11):  # noqa: UP036 (an old Python must get a sentence, no traceback)
    sys.exit("Python 3.11 이상이 필요합니다. 설치한 뒤 `make lab`을 실행하십시오.")
try:
    import typer
except ModuleNotFoundError:
    sys.exit("강의의 패키지가 아직 없습니다. `make lab`으로 설치한 뒤 다시 실행하십시오.")

from helpers import CourseError
from helpers.disk import clear_errors

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
evaluate = typer.Typer(no_args_is_help=True, help="수업의 결과를 자신의 파일로 잽니다.")
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


@evaluate.command("similarity_chatbot")
def evaluate_similarity_chatbot(
    questions: Annotated[
        Path, typer.Option(help="저장할 질문: id와 question 열이 있는 TSV(또는 .csv) 파일.")
    ],
    queries: Annotated[
        Path, typer.Option(help="물을 말: query와, 맞는 질문의 id 열이 있는 TSV(또는 .csv) 파일.")
    ],
    encoder: Annotated[str, typer.Option(help="문장 인코더의 이름이나 폴더.")] = "mini-sentence-ko",
    pooling: Annotated[str, typer.Option(help="mean, cls, pooler 가운데 하나입니다.")] = "mean",
) -> None:
    """맞는 질문을 얼마나 찾는지 재어 JSON 한 줄로 씁니다."""
    import json

    from helpers.course import be_quiet, profile_name
    from helpers.similarity_chatbot import evaluate_retrieval, load_sentence_encoder

    be_quiet(profile_name())
    result = evaluate_retrieval(questions, queries, load_sentence_encoder(encoder, pooling))
    print(json.dumps(result))


@evaluate.command("mask_attack")
def evaluate_mask_attack(
    train: Annotated[Path, typer.Option(help="학습할 TSV: text(또는 document)와 label 열.")],
    test: Annotated[Path, typer.Option(help="잴 TSV. 열은 train과 같습니다.")],
    model: Annotated[str, typer.Option(help="모델의 이름이나 폴더.")] = "mini-bert-ko",
    method: Annotated[
        list[str],
        typer.Option(
            help="bert-attack, bae-r, bae-i, random. 여러 번 쓰면 같은 분류기를 공격합니다."
        ),
    ] = ("bert-attack",),
    attacks: Annotated[int, typer.Option(min=1, help="공격할 글의 수입니다.")] = 100,
    max_train: Annotated[
        int | None, typer.Option(min=2, help="이만큼만 뽑아서 학습합니다. 없으면 모두입니다.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 4,
    no_filter: Annotated[
        bool, typer.Option("--no-filter", help="문장 인코더로 거르지 않습니다.")
    ] = False,
    seed: int = 0,
) -> None:
    """감성 분류기를 학습하고 공격하여 방법마다 JSON 한 줄로 씁니다."""
    import json

    from transformers import BertForMaskedLM

    from helpers.course import be_quiet, device_name, profile_name
    from helpers.mask_attack.attack import attack_all, check_method, summary
    from helpers.mask_attack.classifier import read_reviews, train_classifier
    from helpers.resources import load_model, load_tokenizer

    be_quiet(profile_name())
    device = device_name(profile_name())
    for name in method:  # before the minutes of training
        check_method(name)
    reviews, heldout = read_reviews(train), read_reviews(test)
    encode = None
    if not no_filter:
        from helpers.similarity_chatbot import load_sentence_encoder

        encode = load_sentence_encoder().encode
    if max_train is not None and max_train < len(reviews):
        reviews = reviews.sample(max_train, random_state=seed)
    texts, labels = reviews["text"].tolist(), reviews["label"].tolist()
    classifier = train_classifier(model, texts, labels, epochs=epochs, seed=seed, device=device)
    test_accuracy = classifier.accuracy(heldout["text"], heldout["label"])
    network, tokenizer = load_model(BertForMaskedLM, model).to(device), load_tokenizer(model)
    targets = heldout.sample(min(attacks, len(heldout)), random_state=seed)
    vocabulary = sorted({word for text in texts for word in text.split()})
    for name in method:
        results = attack_all(
            classifier,
            network,
            tokenizer,
            targets,
            method=name,
            encode=encode,
            vocabulary=vocabulary,
            seed=seed,
        )
        # JSON has no NaN: a mean over no attack that succeeded is null.
        scores = {k: None if v != v else v for k, v in summary(results).items()}
        head = {"method": name, "train": len(texts), "attacked": scores.pop("reviews")}
        print(json.dumps(head | {"test_accuracy": test_accuracy} | scores), flush=True)


@evaluate.command("korean_pretraining")
def evaluate_korean_pretraining(
    model: Annotated[str, typer.Option(help="모델의 이름이나 폴더.")],
    text: Annotated[list[Path], typer.Option(help="모델이 본 적 없는 텍스트 파일.")],
    seed: int = 0,
    mlm_probability: float = 0.15,
    max_length: int = 128,
    max_sentences: Annotated[
        int | None, typer.Option(help="이만큼만 뽑아서 잽니다. 없으면 모든 문장입니다.")
    ] = None,
) -> None:
    """가린 토큰을 얼마나 맞히는지 재어 JSON 한 줄로 씁니다."""
    import json

    from transformers import BertForMaskedLM

    from helpers.course import be_quiet, device_name, profile_name
    from helpers.korean_pretraining.evaluate import masked_accuracy
    from helpers.resources import load_model, load_tokenizer

    be_quiet(profile_name())
    result = masked_accuracy(
        load_model(BertForMaskedLM, model).to(device_name(profile_name())),
        load_tokenizer(model),
        text,
        seed,
        mlm_probability=mlm_probability,
        max_length=max_length,
        max_sentences=max_sentences,
        show_progress=sys.stderr.isatty(),
    )
    print(json.dumps(asdict(result)))


@evaluate.command("entity_bert")
def evaluate_entity_bert(
    train: Annotated[Path, typer.Option(help="배울 파일(KLUE-RE 형식의 JSON)입니다.")],
    test: Annotated[Path, typer.Option(help="잴 파일(KLUE-RE 형식의 JSON)입니다.")],
    variant: Annotated[str, typer.Option(help="개체를 알리는 방법입니다.")] = "entity_embedding",
    seed: int = 0,
    model: Annotated[str, typer.Option(help="출발 모델의 이름이나 폴더.")] = "mini-bert-ko",
    epochs: float = 5,
    learning_rate: float = 2e-4,
    batch_size: int = 16,
    max_length: Annotated[int, typer.Option(help="긴 문장에서 남길 토큰 수.")] = 256,
    output: Annotated[Path | None, typer.Option(help="배운 모델을 저장할 폴더입니다.")] = None,
) -> None:
    """관계 추출을 배우고 재어(micro F1, AUPRC) JSON 한 줄로 씁니다."""
    import json

    from helpers.course import be_quiet, profile_name
    from helpers.entity_bert.train import ProgressBar, Settings
    from helpers.entity_bert.train import evaluate as evaluate_relations

    be_quiet(profile_name())
    result = evaluate_relations(
        train,
        test,
        variant,
        seed,
        model=model,
        settings=Settings(epochs, learning_rate, batch_size, max_length),
        output=output,
        callbacks=[ProgressBar()] if sys.stderr.isatty() else [],
    )
    print(json.dumps({k: v for k, v in asdict(result).items() if k != "outcomes"}))


@evaluate.command("finetuning")
def evaluate_finetuning(
    task: Annotated[
        str, typer.Option(help="sentiment, similarity, entities, reading 또는 multi입니다.")
    ],
    train: Annotated[
        list[str],
        typer.Option(help="배울 파일. multi에는 과제마다 하나씩(이름=파일로 써도 됩니다)."),
    ],
    test: Annotated[list[str], typer.Option(help="잴 파일. 형식은 train과 같습니다.")],
    seed: int = 0,
    model: Annotated[str, typer.Option(help="출발 모델의 이름이나 폴더.")] = "mini-bert-ko",
    method: Annotated[
        str, typer.Option(help="bert, untrained(무작위 가중치), baseline(BERT 없이) 중 하나.")
    ] = "bert",
    epochs: Annotated[float | None, typer.Option(help="없으면 과제마다 정한 값입니다.")] = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    max_length: Annotated[int | None, typer.Option(help="한 번에 읽는 토큰 수입니다.")] = None,
    steps: Annotated[int | None, typer.Option(help="epochs 대신 스텝의 수를 정합니다.")] = None,
    temperature: Annotated[
        float, typer.Option(min=0.01, help="multi: 클수록 과제를 고르게 뽑습니다.")
    ] = 2.0,
    output: Annotated[Path | None, typer.Option(help="배운 모델을 저장할 폴더입니다.")] = None,
) -> None:
    """BERT를 과제에 미세 조정(fine-tuning)하고 재어 JSON 한 줄로 씁니다."""
    names = ("epochs", "learning_rate", "batch_size", "max_length", "steps")
    changes = {
        name: value for name, value in locals().items() if name in names and value is not None
    }
    import json

    from helpers.course import be_quiet, profile_name
    from helpers.entity_bert.train import ProgressBar
    from helpers.finetuning.evaluate import evaluate as evaluate_tasks
    from helpers.finetuning.evaluate import task_files

    be_quiet(profile_name())
    row, refused = evaluate_tasks(
        task_files(task, train),
        task_files(task, test),
        seed,
        model=model,
        method=method,
        output=output,
        temperature=temperature,
        callbacks=[ProgressBar()] if sys.stderr.isatty() else [],
        **changes,
    )
    for reason in refused:
        print(f"뺐습니다: {reason}", file=sys.stderr)
    print(json.dumps(row))


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
    """Run a command; an error of the user is one line and exit code 2, Ctrl-C one line and 130."""
    for stream in (sys.stdout, sys.stderr):
        if not stream.isatty():  # Windows gives files and pipes an encoding without Hangul
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
