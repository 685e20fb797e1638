"""KLUE-RE's two measures, and a paired test that tells a difference from noise."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import auc, f1_score, precision_recall_curve

NO_RELATION = "no_relation"
SYMMETRIC = {"per:spouse", "per:siblings", "per:colleagues", "per:other_family"}
INVERSE = {
    "per:children": "per:parents",
    "per:parents": "per:children",
    "org:members": "org:member_of",
    "org:member_of": "org:members",
}


def label_names(*files: Sequence[dict]) -> list[str]:
    """The labels of some examples: no_relation first, the others in alphabetical order."""
    found = {example["label"] for examples in files for example in examples}
    return [NO_RELATION, *sorted(found - {NO_RELATION})]


def type_baseline(examples: Sequence[dict], unseen: Sequence[dict]) -> list[str]:
    """The most frequent label in `examples` of each pair of entity types: no sentence is read."""
    counts: dict[tuple, Counter] = {}
    for example in examples:
        counts.setdefault(_types(example), Counter())[example["label"]] += 1
    common = {types: count.most_common(1)[0][0] for types, count in counts.items()}
    return [common.get(_types(example), NO_RELATION) for example in unseen]


def _types(example: dict) -> tuple:
    return tuple(example[role].get("type") for role in ("subject_entity", "object_entity"))


def micro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """KLUE-RE's first measure: the micro F1 of all labels but no_relation, in percent.

    Source: https://github.com/KLUE-benchmark/KLUE-baseline (klue_re_micro_f1)
    """
    labels = sorted({*gold, *predicted} - {NO_RELATION})
    if not labels:
        return 0.0
    return 100 * f1_score(gold, predicted, labels=labels, average="micro", zero_division=0)


def auprc(gold: Sequence[str], probabilities: np.ndarray, labels: Sequence[str]) -> float:
    """KLUE-RE's second measure: the area under each label's precision-recall curve, averaged, in %.

    probabilities [examples, labels]. The mean is over the labels that occur in `gold`: all 30 in
    KLUE's own files, no_relation included. A label without an example has no curve.
    Source: https://github.com/KLUE-benchmark/KLUE-baseline (klue_re_auprc)
    """
    areas = []
    for label in sorted(set(gold)):
        scores = probabilities[:, list(labels).index(label)]
        precision, recall, _ = precision_recall_curve([g == label for g in gold], scores)
        areas.append(auc(recall, precision))
    return 100 * float(np.mean(areas))


def outcomes(gold: Sequence[str], predicted: Sequence[str]) -> str:
    """One character an example, what became of it.

    '+' right relation, '.' rightly none, 'x' wrong relation, 'm' missed (none said), 'f' false
    alarm (none there). Enough for micro F1, and for a paired test.
    """
    kinds = []
    for right, answer in zip(gold, predicted, strict=True):
        if right == answer:
            kinds.append("." if right == NO_RELATION else "+")
        elif NO_RELATION in (right, answer):
            kinds.append("m" if answer == NO_RELATION else "f")
        else:
            kinds.append("x")
    return "".join(kinds)


def twin_accuracy(examples: Sequence[dict], results: str) -> float:
    """The share of twin sentences, which occur with different labels, that are right each time.

    results: the `outcomes` of a run on these examples. A model that does not know which entities
    are meant gives twins one answer, and so gets none right.
    """
    twins: dict[str, list[tuple[str, str]]] = {}
    for example, result in zip(examples, results, strict=True):
        twins.setdefault(example["sentence"], []).append((example["label"], result))
    groups = [group for group in twins.values() if len({label for label, _ in group}) > 1]
    if not groups:
        return 0.0
    return sum(all(result in "+." for _, result in group) for group in groups) / len(groups)


def label_after_swap(label: str, labels: Sequence[str]) -> str:
    """What is right when subject and object change places: "per:children" -> "per:parents", if that
    is one of the labels, else no_relation.
    """
    turned = label if label in SYMMETRIC else INVERSE.get(label)
    return turned if turned in labels else NO_RELATION


# F1 = 2tp / (2tp + fp + fn)
WEIGHTS = {"+": (2, 2), ".": (0, 0), "x": (0, 2), "m": (0, 1), "f": (0, 1)}


def paired_bootstrap(
    a: Sequence[str], b: Sequence[str], rounds: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean micro F1 of runs `a` minus that of runs `b` in points, and its 95 % interval.

    a, b: the `outcomes` of one run a seed, on the same examples. A round draws examples (the same
    for both sides) and seeds with replacement. An interval that holds 0 is noise.
    Source: Koehn 2004, "Statistical significance tests", https://aclanthology.org/W04-3250
    """
    rng = np.random.default_rng(seed)
    sides = [np.array([[WEIGHTS[kind] for kind in run] for run in runs], float) for runs in (a, b)]
    size = sides[0].shape[1]

    def difference(examples: np.ndarray, chosen: list[np.ndarray]) -> float:
        scores = []
        for side, runs in zip(sides, chosen, strict=True):
            hits, total = side[runs][:, examples].sum(1).T
            scores.append(np.mean(hits / np.maximum(total, 1)))
        return 100 * (scores[0] - scores[1])

    drawn = []
    for _ in range(rounds):
        examples = rng.integers(size, size=size)
        drawn.append(difference(examples, [rng.integers(len(s), size=len(s)) for s in sides]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    whole = difference(np.arange(size), [np.arange(len(side)) for side in sides])
    return whole, float(low), float(high)
