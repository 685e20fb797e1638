"""`python -m helpers evaluate LESSON`: a lesson's result on files of one's own, as JSON."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from helpers.course import be_quiet, device_name, profile_name

evaluate = typer.Typer(no_args_is_help=True, help="수업의 결과를 자신의 파일로 잽니다.")


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
    from helpers.similarity_chatbot import evaluate_retrieval, load_sentence_encoder

    be_quiet()
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
            help="bert-attack, bae-r, bae-r-stem, bae-i, random. 여러 번 쓰면 같은 분류기를 "
            "공격합니다."
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
    from helpers.mask_attack.evaluate import evaluate as evaluate_attacks
    from helpers.similarity_chatbot import load_sentence_encoder

    be_quiet()
    for row in evaluate_attacks(
        train,
        test,
        model=model,
        methods=method,
        attacks=attacks,
        max_train=max_train,
        epochs=epochs,
        encode=None if no_filter else load_sentence_encoder().encode,
        seed=seed,
    ):
        print(json.dumps(row), flush=True)


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
    from transformers import BertForMaskedLM

    from helpers.korean_pretraining.evaluate import masked_accuracy
    from helpers.resources import load_model, load_tokenizer

    be_quiet()
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
    dev: Annotated[Path | None, typer.Option(help="에폭을 고를 파일. 없으면 마지막 에폭.")] = None,
    model: Annotated[str, typer.Option(help="출발 모델의 이름이나 폴더.")] = "mini-bert-ko",
    epochs: float = 10,
    learning_rate: float = 2e-4,
    batch_size: int = 16,
    max_length: Annotated[int, typer.Option(help="긴 문장에서 남길 토큰 수.")] = 256,
    output: Annotated[Path | None, typer.Option(help="배운 모델을 저장할 폴더입니다.")] = None,
) -> None:
    """관계 추출을 배우고 재어(micro F1, AUPRC) JSON 한 줄로 씁니다."""
    from helpers.entity_bert.evaluate import evaluate as evaluate_relations
    from helpers.entity_bert.train import ProgressBar, Settings

    be_quiet()
    result = evaluate_relations(
        train,
        test,
        variant,
        seed,
        dev_file=dev,
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
    given = locals()
    changes = {name: given[name] for name in names if given[name] is not None}
    from helpers.entity_bert.train import ProgressBar
    from helpers.finetuning.evaluate import evaluate as evaluate_tasks
    from helpers.finetuning.evaluate import task_files

    be_quiet()
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
