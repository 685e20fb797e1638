import math
import random
import re

import pytest
from mask_models import Scripted, tokenizer_of

from helpers import CourseError
from helpers.mask_attack import exposure as secrets
from helpers.mask_attack.exposure import Canary, exposure, make_canaries, plant, redact
from helpers.mask_attack.membership import membership_scores, roc, sentence_losses

DIGITS = [f"##{digit}" for digit in range(10)] + [str(digit) for digit in range(10)]
TOKENIZER = tokenizer_of("암호", "이다", "##이다", *DIGITS)
CODES = [f"{a}{b}" for a in range(10) for b in range(10)]  # all 100 codes of two digits


def graded(pieces, place):
    """Prefer small digits: code "ab" has the score -(10 a + b) up to a constant,
    so its rank is ab + 1.
    """
    if place == pieces.index("[MASK]"):
        return {str(digit): -10 * digit for digit in range(10)}
    return {f"##{digit}": -digit for digit in range(10)}


def test_exposure_and_rank_by_construction():
    model = Scripted(TOKENIZER, graded)
    codes = ["00", "01", "49", "99"]
    frame = exposure(model, TOKENIZER, ["암호 [MASK]이다"] * 4, codes, CODES)
    assert frame["rank"].tolist() == [1, 2, 50, 100]
    expected = [math.log2(100), math.log2(50), 1, 0]
    assert frame["exposure"].tolist() == pytest.approx(expected)


def test_secret_outside_the_sample_counts_as_one_more_candidate():
    frame = exposure(Scripted(TOKENIZER, graded), TOKENIZER, ["암호 [MASK]"], ["00"], CODES[50:])
    assert frame["rank"].tolist() == [1]
    assert frame["exposure"].tolist() == pytest.approx([math.log2(51)])
    worst = exposure(Scripted(TOKENIZER, graded), TOKENIZER, ["암호 [MASK]"], ["99"], CODES[:50])
    assert worst["rank"].tolist() == [51] and worst["exposure"][0] == pytest.approx(0)


def test_a_candidate_drawn_twice_counts_once():
    model = Scripted(TOKENIZER, graded)
    twice = exposure(model, TOKENIZER, ["암호 [MASK]"], ["49"], CODES + CODES[:50])
    assert twice["rank"].tolist() == [50] and twice["exposure"].tolist() == pytest.approx([1])


def test_a_model_that_knows_nothing_gives_no_exposure():
    model = Scripted(TOKENIZER, lambda pieces, place: {})
    frame = exposure(model, TOKENIZER, ["암호 [MASK]"], ["37"], CODES)
    assert frame["exposure"].tolist() == [0]  # all candidates are as good


def test_candidates_of_other_lengths_are_ranked_together():
    """Every piece costs the same, so the shorter candidates come first."""
    model = Scripted(TOKENIZER, lambda pieces, place: {"##7": 1e-3})
    frame = exposure(model, TOKENIZER, ["암호 [MASK]"], ["123"], ["1", "2", "12", "77", "1234"])
    assert frame["rank"].tolist() == [5]


def test_extraction_follows_the_likeliest_pieces():
    def leak(pieces, place):
        return {"4": 9} if place == pieces.index("암호") + 1 else {"##2": 9}

    model = Scripted(TOKENIZER, leak)
    frame = exposure(model, TOKENIZER, ["암호 [MASK]"] * 2, ["42", "24"], CODES)
    assert frame["extracted"].tolist() == [True, False]
    assert frame["rank"][0] == 1 and frame["rank"][1] > 1


def test_candidates_are_needed():
    model = Scripted(TOKENIZER, graded)
    with pytest.raises(CourseError, match="후보"):
        exposure(model, TOKENIZER, ["암호 [MASK]"], ["42"], ["42"])
    with pytest.raises(CourseError, match="없습니다"):
        exposure(model, TOKENIZER, ["암호"], ["42"], CODES)


# --- canaries ------------------------------------------------------------------------------------


def test_canaries_are_planted_as_often_as_they_say():
    canaries = make_canaries((0, 1, 4), each=6, seed=0)
    assert len({canary.name for canary in canaries}) == len(canaries) == 18
    assert [c.repetitions for c in canaries] == [0] * 6 + [1] * 6 + [4] * 6
    assert {
        kind: sum(c.kind == kind for c in canaries) for kind in secrets.FORMATS
    } == dict.fromkeys(secrets.FORMATS, 6)
    text = plant(["물은 액체이다."] * 5, canaries, seed=0)
    assert len(text) == 5 + 6 * (0 + 1 + 4)
    assert all(text.count(canary.sentence) == canary.repetitions for canary in canaries)
    assert text == plant(["물은 액체이다."] * 5, canaries, seed=0)
    assert make_canaries((0, 1, 4), each=6, seed=1) != canaries


def test_unseen_canaries_share_the_forms_but_no_name():
    canaries = make_canaries((0, 4), each=6, seed=0)
    others = secrets.unseen_canaries(canaries, 30, seed=0)
    assert len(others) == 30 and {c.kind for c in others} == set(secrets.FORMATS)
    assert not {c.name for c in others} & {c.name for c in canaries}
    assert not {c.secret for c in others} & {c.secret for c in canaries}
    assert secrets.unseen_canaries(others[:20], 10, seed=0) != others[:10]
    assert not {c.name for c in secrets.unseen_canaries(others[:20], 30, seed=0)} & {
        c.name for c in others[:20]
    }


def test_secrets_can_belong_to_nobody():
    rng = random.Random(0)
    for _ in range(300):
        number = secrets.phone_number(rng)
        assert re.fullmatch(r"010-0\d{3}-\d{4}", number)  # 010-0xxx is not given out
        assert re.fullmatch(r"[a-z]{4}\d{4}", secrets.password(rng))
        town, street, house = secrets.address(rng).split()
        assert town[:-1] in secrets.TOWNS and street in secrets.STREETS and int(house) > 0


def test_redaction_takes_what_its_patterns_know():
    for canary in make_canaries((1,), each=60, seed=0):
        clean = redact(canary.sentence)
        assert (canary.secret in clean) == (canary.kind == "주소")
        assert clean.startswith(canary.name)
    assert (
        redact("번호는 010 0372 5518, 메일은 a.b@example.com이다.")
        == "번호는 [전화번호], 메일은 [전자우편]이다."
    )
    assert redact("900101-1234567") == "[주민등록번호]"
    text = "2026-11-25에 10,372원을 냈고 비밀번호는 알려 주지 않았다."
    assert redact(text) == text


def test_measuring_goes_kind_by_kind():
    pieces = sorted({p for c in make_canaries((0, 2), 60, 0) for p in c.sentence if p.isalpha()})
    tokenizer = tokenizer_of(*pieces, *(f"##{p}" for p in pieces), *DIGITS)
    letters = "abcdefghijklmnopqrstuvwxyz"
    every = sorted({*"".join(secrets.TOWNS + secrets.STREETS), *letters})
    tokenizer = tokenizer_of(
        *pieces, *(f"##{p}" for p in pieces), *every, *(f"##{p}" for p in every), *DIGITS
    )
    canaries = make_canaries((0, 2), each=3, seed=0)
    model = Scripted(tokenizer, lambda pieces, place: {})
    frame = secrets.measure_exposure(model, tokenizer, canaries, candidates=50)
    assert sorted(frame["secret"]) == sorted(canary.secret for canary in canaries)
    assert frame.groupby("repetitions").size().tolist() == [3, 3]
    assert frame["exposure"].between(0, math.log2(51)).all()
    again = secrets.measure_exposure(model, tokenizer, canaries, candidates=50)
    assert frame.equals(again)


def test_prompt_hides_exactly_the_secret():
    canary = Canary("전화번호", "가나다", "010-0123-4567", 4)
    assert canary.prompt.replace("[MASK]", canary.secret) == canary.sentence


def test_the_reference_takes_away_what_was_likely_before():
    """Both prefer small digits, the trained one a little more the code 99: only the ratio sees."""

    def trained(pieces, place):
        scores = dict(graded(pieces, place))
        nine = "9" if place == pieces.index("[MASK]") else "##9"
        scores[nine] += 0.5
        return scores

    model, before = Scripted(TOKENIZER, trained), Scripted(TOKENIZER, graded)
    frame = exposure(model, TOKENIZER, ["암호 [MASK]"], ["99"], CODES, reference=before)
    assert frame["rank"].tolist() == [1] and frame["raw"][0] < 0.2
    assert frame["exposure"].tolist() == pytest.approx([math.log2(100)])
    alone = exposure(model, TOKENIZER, ["암호 [MASK]"], ["99"], CODES)
    assert alone["exposure"].tolist() == pytest.approx(frame["raw"].tolist())


def test_with_a_reference_more_pieces_are_no_handicap():
    """Every piece costs as much as before, and the one secret piece a little less."""
    model = Scripted(TOKENIZER, lambda pieces, place: {"##3": 1.0})
    before = Scripted(TOKENIZER, lambda pieces, place: {})
    pool = ["1", "2", "12", "77", "1245"]
    frame = exposure(model, TOKENIZER, ["암호 [MASK]"], ["123"], pool, reference=before)
    assert frame["pieces"].tolist() == [3]
    assert frame["rank"].tolist() == [1] and frame["raw"][0] < frame["exposure"][0]


def test_spaces_are_the_number_of_secrets_that_can_be_drawn():
    class Counting(random.Random):
        """Multiplies the sizes of what is drawn from."""

        size = 1

        def randrange(self, *arguments):
            self.size *= len(range(*arguments))
            return super().randrange(*arguments)

        def choice(self, options):
            self.size *= len(options)
            return options[0]

        def choices(self, options, k):
            self.size *= len(options) ** k
            return [options[0]] * k

    for kind, (_, draw) in secrets.FORMATS.items():
        rng = Counting(0)
        draw(rng)
        assert rng.size == secrets.SPACES[kind], kind


# --- membership ----------------------------------------------------------------------------------


def test_loss_of_a_sentence_by_hand():
    """Two pieces, each masked once: one certain, one at chance."""
    model = Scripted(TOKENIZER, lambda pieces, place: {"암호": 50} if place == 1 else {})
    loss = sentence_losses(model, TOKENIZER, ["암호 이다"])
    assert loss.tolist() == pytest.approx([math.log(len(TOKENIZER)) / 2], rel=1e-4)
    masked = sentence_losses(model, TOKENIZER, ["[MASK] 암호"])  # its own mask is not mistaken
    assert masked[0] == pytest.approx((50 + math.log(len(TOKENIZER))) / 2, rel=1e-3)
    with pytest.raises(CourseError, match="빈 문장"):
        sentence_losses(model, TOKENIZER, [" "])


def test_ratio_is_the_fall_of_the_loss():
    knows = Scripted(TOKENIZER, lambda pieces, place: {"암호": 50} if place == 1 else {})
    before = Scripted(TOKENIZER, lambda pieces, place: {})
    frame = membership_scores(knows, before, TOKENIZER, ["암호 이다", "이다 이다"])
    assert frame["ratio"][0] > 0 > frame["ratio"][1]
    assert frame["ratio"].tolist() == pytest.approx((frame["reference"] - frame["loss"]).tolist())


def test_roc_by_hand():
    """Members 5, 3, 1 and others 4, 2, 0, -1: of 12 pairs 4 + 3 + 2 are in order."""
    row = roc([5, 3, 1], [4, 2, 0, -1], most_fpr=0.25)
    assert row["AUC"] == pytest.approx(9 / 12)
    assert row["TPR"] == pytest.approx(2 / 3)  # above 2 stand 5, 3 and one of the four others
    assert roc([5, 3, 1], [4, 2, 0, -1], most_fpr=0.1)["TPR"] == pytest.approx(1 / 3)
    assert (row["members"], row["others"]) == (3, 4) and row["low"] <= 9 / 12 <= row["high"]
    assert roc([1, 1], [1, 1])["AUC"] == 0.5 and roc([1, 1], [1, 1])["TPR"] == 0
    with pytest.raises(CourseError, match="하나씩"):
        roc([], [1])
