"""What the course uses, by name: a file embedded in the repository or a place on the network."""

from dataclasses import dataclass

from helpers import ROOT, CourseError

DATA = ROOT / "data"


@dataclass(frozen=True)
class Resource:
    """One line of the catalogue.

    kind: 'model', 'text' (one sentence a line, a blank line between documents) or 'table'.
    path: embedded below data/, its hashes in data/SHA256SUMS. url: 'https:…' with its sha256, or
    'hub:…', for a data set with its commit as revision. rows: documents, table rows or parameters.
    fallback: the embedded resource that stands in where the network may not or cannot be used.
    """

    name: str
    kind: str
    description: str
    licence: str
    rows: str
    path: str | None = None
    url: str | None = None
    sha256: str | None = None
    revision: str | None = None
    fallback: str | None = None


CATALOGUE = {
    resource.name: resource
    for resource in (
        Resource(
            "mini-bert-ko",
            "model",
            "이 강의에서 학습한 작은 한국어 BERT",
            "CC BY-SA 4.0",
            "매개변수 17M",
            path="models/mini-bert-ko",
        ),
        Resource(
            "mini-sentence-ko",
            "model",
            "mini-bert-ko를 문장 벡터로 더 학습한 인코더(encoder)",
            "CC BY-SA 4.0",
            "매개변수 17M",
            path="models/mini-sentence-ko",
        ),
        Resource(
            "bert-base-multilingual-cased",
            "model",
            "104개 언어로 학습한 BERT",
            "Apache-2.0",
            "매개변수 178M",
            url="hub:google-bert/bert-base-multilingual-cased",
            revision="3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
            fallback="mini-bert-ko",
        ),
        Resource(
            "korean-documents",
            "text",
            "강의를 위해 새로 쓴 백과사전식 글",
            "CC BY 4.0",
            "문서 126개, 2,016문장",
            path="korean_pretraining/general",
        ),
        Resource(
            "law-documents",
            "text",
            "법령과 법학 교과서의 문체로 새로 쓴 글",
            "CC BY 4.0",
            "문서 48개, 752문장",
            path="korean_pretraining/law",
        ),
        Resource(
            "korean-wikipedia",
            "text",
            "한국어 위키백과 2023년 11월 1일 판",
            "CC BY-SA 3.0",
            "문서 약 65만 개",
            url="hub:wikimedia/wikipedia/20231101.ko",
            revision="41e6bc09f9122942bcda3499cdbf38a97cb835cc",
            fallback="korean-documents",
        ),
        Resource(
            "chatbot-pairs",
            "table",
            "강의를 위해 새로 쓴 질문과 답",
            "CC BY 4.0",
            "512쌍",
            path="similarity_chatbot/qa.tsv",
        ),
        Resource(
            "chatbot-data",
            "table",
            "일상 대화 질문과 답(songys/Chatbot_data)",
            "MIT",
            "11,823행",
            url="https://raw.githubusercontent.com/songys/Chatbot_data/master/ChatbotData.csv",
            sha256="287eb129695b577321c80ad397bb3c2279164d4ca577874d129fd3db5b30afe2",
            fallback="chatbot-pairs",
        ),
        Resource(
            "relation-sentences",
            "table",
            "강의를 위해 새로 쓴 관계 추출 문장",
            "CC BY 4.0",
            "1,133개",
            path="entity_bert",
        ),
        Resource(
            "sentiment-reviews",
            "table",
            "강의를 위해 새로 쓴 짧은 후기",
            "CC BY 4.0",
            "600개",
            path="mask_attack/sentiment.tsv",
        ),
        Resource(
            "similarity-pairs",
            "table",
            "강의를 위해 새로 쓴 문장 쌍과 유사도 점수",
            "CC BY 4.0",
            "300쌍",
            path="finetuning/pairs.tsv",
        ),
        Resource(
            "entity-sentences",
            "table",
            "강의를 위해 새로 쓴 개체명 문장",
            "CC BY 4.0",
            "300개",
            path="finetuning",
        ),
        Resource(
            "reading-passages",
            "table",
            "강의를 위해 새로 쓴 지문과 질문",
            "CC BY 4.0",
            "지문 60개, 질문 180개",
            path="finetuning/reading.json",
        ),
        Resource(
            "klue-re",
            "table",
            "KLUE의 관계 추출 문장(train, validation)",
            "CC BY-SA 4.0",
            "40,235개",
            url="hub:klue/klue/re",
            revision="349481ec73fff722f88e0453ca05c77a447d967c",
            fallback="relation-sentences",
        ),
        Resource(
            "klue-sts",
            "table",
            "KLUE의 문장 유사도(train, validation)",
            "CC BY-SA 4.0",
            "12,187쌍",
            url="hub:klue/klue/sts",
            revision="349481ec73fff722f88e0453ca05c77a447d967c",
            fallback="similarity-pairs",
        ),
        Resource(
            "klue-ner",
            "table",
            "KLUE의 개체명 문장(train, validation)",
            "CC BY-SA 4.0",
            "26,008개",
            url="hub:klue/klue/ner",
            revision="349481ec73fff722f88e0453ca05c77a447d967c",
            fallback="entity-sentences",
        ),
        Resource(
            "klue-mrc",
            "table",
            "KLUE의 독해 질문(train, validation)",
            "CC BY-SA 4.0",
            "23,395개",
            url="hub:klue/klue/mrc",
            revision="349481ec73fff722f88e0453ca05c77a447d967c",
            fallback="reading-passages",
        ),
        Resource(
            "nsmc-train",
            "table",
            "네이버 영화 후기, 학습",
            "CC0",
            "150,000개",
            url="https://raw.githubusercontent.com/e9t/nsmc/master/ratings_train.txt",
            sha256="e03b7d14e9e41be8d464a28057cd25d7396c53e67aa7fd5f7e552c59b0ee2940",
            fallback="sentiment-reviews",
        ),
        Resource(
            "nsmc-test",
            "table",
            "네이버 영화 후기, 시험",
            "CC0",
            "50,000개",
            url="https://raw.githubusercontent.com/e9t/nsmc/master/ratings_test.txt",
            sha256="8ac9f64052f11dbf6ae0acb5e038f03d90a76f0eda7820cfb3a92d02edfcebda",
            fallback="sentiment-reviews",
        ),
    )
}


def lookup(name: str) -> Resource:
    """The catalogue's line of this name. Raises CourseError if there is none."""
    if name not in CATALOGUE:
        raise CourseError(
            f"{name!r}(이)라는 자원은 없습니다. 이 가운데에서 고르십시오: {', '.join(CATALOGUE)}."
        )
    return CATALOGUE[name]
