"""Vector search: time of a query and recall, exact and with usearch, up to a million vectors.

    python tests/benchmarks/vector_search.py --questions ChatbotData.csv \
        --output data/similarity_chatbot/search_latency.tsv

The vectors are those of the questions, filled up with invented ones between them (see `crowd`).
"""

from pathlib import Path

from common import Options, main, positive, report


def measure() -> None:
    import pandas as pd
    from sentence_encoder import read_questions

    from helpers.resources import data_path
    from helpers.similarity_chatbot import (
        crowd,
        load_sentence_encoder,
        read_table,
        search_latency,
        unit,
    )

    options = Options("벡터의 수를 늘리면서 질의 하나의 시간과 recall을 잽니다.")
    options.add_argument("--questions", type=Path, default=data_path("chatbot-pairs"))
    options.add_argument(
        "--vectors", type=positive(int), nargs="+", default=[1_000, 12_000, 100_000, 1_000_000]
    )
    options.add_argument("--queries", type=positive(int), default=100)
    options.add_argument("--output", type=Path, help="표를 쓸 TSV 파일입니다.")
    chosen = options.parse_args()
    encoder = load_sentence_encoder()
    real = unit(encoder.encode(read_questions(chosen.questions)))
    table = read_table(data_path("chatbot-pairs").with_name("queries.tsv"), "query")
    queries = unit(encoder.encode([row["query"] for row in table[: chosen.queries]]))
    log = pd.DataFrame(
        [row for n in chosen.vectors for row in search_latency(crowd(real, n), queries)]
    )
    if chosen.output:
        log.round(4).to_csv(chosen.output, sep="\t", index=False, lineterminator="\n")
    result = {"benchmark": "vector_search", "rows": log.to_dict("records")}
    report("벡터 검색", list(log.columns), log.round(4).values.tolist(), result)


if __name__ == "__main__":
    main(measure)
