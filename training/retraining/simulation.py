"""The loop on real clips, with a scripted curator: do corrections make a better model?

A head is trained on half of the recordings. The curator corrects sounds of other recordings from
their true labels, with mistakes, through the event store that the product has, in an order that the
store gives. After each hundred a challenger is trained and scored on recordings that nobody saw.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.events.fold import SoundState, confirm
from core.events.query import Query
from core.events.types import Media, Predicted, Sound, Suggestion, new_event
from core.model.bundle import Calibration
from core.model.efficientat import TagHead
from core.model.logmel import AUDIOSET
from core.model.related_tags import rank
from core.model.saving import save_bundle
from core.storage.local import open_local_workspace
from core.storage.workspace import Workspace
from training.datasets.clips import Clip, read_clips, split_by_recording, vocabulary
from training.datasets.corrections import CorrectionPolicy, correction_labels
from training.fine_tuning.data import SCALER, tag_space
from training.fine_tuning.head import DROPOUT, HIDDEN
from training.fine_tuning.pipeline import NOT_SCORED, arguments, assembled
from training.fine_tuning.tagger import MAX_TAGS
from training.fine_tuning.thresholds import LABEL_FLOOR
from training.pretrained import load_pretrained
from training.retraining.challenger import (
    Challenger,
    Champion,
    LoadedData,
    load_data,
    train_challenger,
    write_bundle,
)
from training.retraining.comparison import PartComparison, Truth, compare
from training.retraining.features import Windows, audio_of, load_windows
from training.retraining.head import all_logits
from training.retraining.material import BaseData, CorrectedSounds, divide_corrections

logger = logging.getLogger(__name__)

BASE, POOL, TEST = 0.5, 0.3, 0.2
"""Shares of the recordings: the first model's, the curator's, and nobody's."""
STEPS = (100, 200, 300)
"""Numbers of corrected sounds after which a challenger is trained."""
PAGE = 20
"""Sounds that the curator takes from the store at once, as from a page."""
MISTAKES = 0.05
"""Share of the curator's decisions that are wrong."""
CURATOR = "scripted curator"
NOTHING = CorrectedSounds([], [], {})
Order = Literal["most informative", "random"]
ORDERS: tuple[Order, ...] = ("most informative", "random")
COLUMNS = (
    "seed",
    "order",
    "corrections",
    "trained",
    "decisions",
    "champion",
    "challenger",
    "gain",
    "low",
    "high",
    "micro gain",
    "micro low",
    "micro high",
    "held back",
    "held-back gain",
)
SUMMARY_COLUMNS = (
    *("order", "corrections", "seeds", "champion", "challenger", "gain"),
    *("sd", "low", "high"),
)


@dataclass(frozen=True)
class Experiment:
    """One seed's data.

    Attributes:
        base: The first model's clips, and the test clips.
        pool: Clips that the curator may get.
        seed: Of everything.
        cache: Of features.
        folder: For bundles and workspaces.
    """

    base: BaseData
    pool: list[Clip]
    seed: int
    cache: Path
    folder: Path


def simulate(
    clips: Path, others: Path, weights: Path, seeds: Sequence[int], cache: Path
) -> list[dict[str, str]]:
    """Run the loop for several seeds.

    Args:
        clips: Clip folder.
        others: Clip folder of other sounds.
        weights: Published weights, converted.
        seeds: Each splits the recordings in another way.
        cache: Where features are kept.

    Returns:
        A row of `COLUMNS` for each challenger.

    Raises:
        DatasetError: A folder cannot be used.
        PretrainedError: The weights cannot be used.
    """
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="earmark-loop-") as temporary:
            experiment = _experiment(clips, others, seed, cache, Path(temporary))
            champion = _first_model(experiment, weights)
            rows.append(_row(experiment, champion, "none", 0, NOTHING))
            for order in ORDERS:
                rows += list(_loop(experiment, champion, order))
    return rows


def summary(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return mean scores, and the gain's mean and spread over seeds, by order and number."""
    keys = dict.fromkeys((row["order"], row["corrections"]) for row in rows)
    summaries = []
    for order, number in keys:
        same = [row for row in rows if (row["order"], row["corrections"]) == (order, number)]
        values = {
            name: np.array([float(row[name]) for row in same])
            for name in ("champion", "challenger", "gain")
        }
        means = {name: f"{column.mean():.4f}" for name, column in values.items()}
        low, high = values["gain"].min(), values["gain"].max()
        summaries.append(
            {"order": order, "corrections": number, "seeds": str(len(same))}
            | means
            | {"sd": _deviation(values["gain"]), "low": f"{low:.4f}", "high": f"{high:.4f}"}
        )
    return summaries


def _deviation(gains: NDArray[np.float64]) -> str:
    """Return the standard deviation over seeds; empty for one."""
    return f"{gains.std(ddof=1):.4f}" if len(gains) > 1 else ""


def _experiment(clips: Path, others: Path, seed: int, cache: Path, folder: Path) -> Experiment:
    """Split the recordings: for the first model, for the curator, for the test."""
    everything = read_clips(clips)
    part = split_by_recording(everything, seed, (BASE, POOL, TEST))
    first, pool, test = (
        [c for c, n in zip(everything, part, strict=True) if n == k] for k in range(3)
    )
    inner = split_by_recording(first, seed, (0.75, 0.15, 0.10))
    subset_of = np.concatenate([np.minimum(inner, 1), np.full(len(test), 2)])
    return Experiment(
        BaseData([*first, *test], subset_of, read_clips(others)), pool, seed, cache, folder
    )


def _first_model(experiment: Experiment, weights: Path) -> Champion:
    """Train a head on the published body, which knows nothing of these recordings."""
    base = experiment.base
    own = vocabulary([base.clips[row] for row in base.rows(0)])
    body, space = load_pretrained(weights), tag_space(own)
    head = TagHead(body.channels + body.hidden_size, len(own), HIDDEN, DROPOUT)
    tags = len(space.tags)
    untrained = save_bundle(
        experiment.folder / "untrained",
        description={
            "name": "loop",
            "architecture": "efficientat_mn",
            "arguments": arguments(space),
            "front_end": AUDIOSET.described(),
            "pooling": "max",
        },
        weights=assembled(body, head, space).state_dict(),
        scaler=SCALER,
        vocabulary=space.tags,
        calibration=Calibration(
            np.ones(tags, np.float32),
            np.zeros(tags, np.float32),
            np.full(tags, LABEL_FLOOR, np.float32),
        ),
        metrics={
            "overall": {},
            "per_tag": dict.fromkeys(space.tags, NOT_SCORED),
            "clips": 0,
            "recordings": 0,
            "split": "test: recordings that neither the model nor the curator had",
        },
    )
    start = Champion.of(untrained)
    data = load_data(start, base, NOTHING, experiment.cache, with_copies=False)
    first = train_challenger(start, data, experiment.seed, from_scratch=True)
    written = write_bundle(start, first, data, experiment.folder / "champion", experiment.seed)
    return Champion.of(written)


def _loop(experiment: Experiment, champion: Champion, order: Order) -> Iterator[dict[str, str]]:
    """Correct sounds in an order; yield a challenger's row after each of `STEPS`."""
    folder = experiment.folder / order.replace(" ", "-")
    workspace = open_local_workspace(folder)
    clip_of = _predict(experiment, champion, workspace)
    random = np.random.default_rng((experiment.seed, 7))
    shuffled = random.permutation(sorted(clip_of)).tolist()
    corrected = 0
    recordings = {sound_id: clip.recording for sound_id, clip in clip_of.items()}
    for step in STEPS:
        while corrected < min(step, len(clip_of)):
            if order == "random":
                ids = shuffled[corrected : corrected + PAGE]
            else:
                to_review = Query(show="to review")
                ids = workspace.sounds.ids(to_review, order="most informative", limit=PAGE)
            states = workspace.sounds.get_many(ids)
            workspace.events.append(
                confirm(states[i], _corrected(states[i], clip_of[i].tags, random), CURATOR)
                for i in ids
            )
            corrected += len(ids)
        corrections = divide_corrections(
            workspace,
            experiment.base,
            CorrectionPolicy(),
            champion.own,
            recordings,
            frozenset(),  # these models are thrown away
        )
        yield _row(experiment, champion, order, step, corrections)


def _predict(experiment: Experiment, champion: Champion, workspace: Workspace) -> dict[str, Clip]:
    """Put the pool into a workspace with the champion's suggestions; return clips by sound id."""
    model = workspace.models.register(champion.bundle)
    sounds, spec = audio_of([clip.path for clip in experiment.pool]), champion.bundle.front_end
    windows = load_windows(sounds, champion.network, spec, experiment.cache)
    logits = all_logits(champion.network, windows, champion.bundle.pooling)
    probabilities = champion.bundle.calibration.probabilities(logits)
    names = workspace.media.put_all([(audio.path.read_bytes(), "ogg") for audio in sounds])
    clip_of = dict(zip((f"file:{a.digest}" for a in sounds), experiment.pool, strict=True))
    workspace.events.append(
        new_event(
            Predicted(
                model=model,
                top=_suggestions(champion, row),
                sound=Sound(title=clip.path.name, source="simulation", license=clip.license),
                media=Media(audio=name),
            ),
            sound_id,
            "earmark",
        )
        for (sound_id, clip), row, name in zip(clip_of.items(), probabilities, names, strict=True)
    )
    return clip_of


def _suggestions(champion: Champion, probabilities: NDArray[np.float32]) -> tuple[Suggestion, ...]:
    """Return what the product would suggest of a short clip, and its best guesses."""
    tags, thresholds = champion.bundle.vocabulary, champion.bundle.calibration.threshold
    ranking = rank(tags, probabilities, thresholds, MAX_TAGS)
    guesses = ranking.guesses[: max(0, MAX_TAGS - len(ranking.suggested))]
    return tuple(
        Suggestion(
            tag=tags[index],
            probability=round(float(probabilities[index]), 4),
            above_threshold=index not in guesses,
        )
        for index in sorted([*ranking.suggested, *guesses], key=lambda index: -probabilities[index])
    )


def _corrected(shown: SoundState, truth: frozenset[str], random: np.random.Generator) -> list[str]:
    """Return the tags that the curator leaves: the true ones, but for mistakes."""
    tags = sorted({*shown.tags, *truth})
    return [tag for tag in tags if (tag in truth) != (random.random() < MISTAKES)]


def _row(
    experiment: Experiment,
    champion: Champion,
    order: str,
    step: int,
    corrections: CorrectedSounds,
) -> dict[str, str]:
    """Train a challenger and return its scores beside the champion's."""
    data = load_data(champion, experiment.base, corrections, experiment.cache, with_copies=False)
    challenger = train_challenger(champion, data, experiment.seed, calibrate_on_others=False)
    row = {
        "seed": str(experiment.seed),
        "order": order,
        "corrections": str(step),
        "trained": str(len(corrections.trained)),
        "decisions": str(corrections.described(champion.own)["decisions"]),
        "held back": str(len(corrections.held_back)),
        **_test_cells(experiment, champion, challenger, data),
    }
    if data.held_back is not None:
        labels, known = correction_labels(corrections.held_back, champion.own)
        names = np.array([item.recording for item in corrections.held_back])
        truth = Truth(labels, known, names)
        compared = _compared(champion, challenger, data.held_back, truth)
        row["held-back gain"] = _cell(compared["scores"]["pr_auc_micro"]["difference"])
    logger.info("loop %s", " ".join(f"{k.replace(' ', '_')}={v}" for k, v in row.items()))
    return {name: row.get(name, "") for name in COLUMNS}


def _test_cells(
    experiment: Experiment, champion: Champion, challenger: Challenger, data: LoadedData
) -> dict[str, str]:
    """Return the scores on the recordings that nobody saw."""
    test = experiment.base.rows(2)
    recordings = np.array([experiment.base.clips[row].recording for row in test])
    targets = data.targets[test]
    truth = Truth(targets, np.ones(targets.shape, np.bool_), recordings)
    scores = _compared(champion, challenger, data.clips[0].rows(test), truth)["scores"]
    macro, micro = scores["pr_auc_macro"], scores["pr_auc_micro"]
    low, high = macro["interval"] or (None, None)
    micro_low, micro_high = micro["interval"] or (None, None)
    return {
        "champion": _cell(macro["champion"]),
        "challenger": _cell(macro["challenger"]),
        "gain": _cell(macro["difference"]),
        "low": _cell(low),
        "high": _cell(high),
        "micro gain": _cell(micro["difference"]),
        "micro low": _cell(micro_low),
        "micro high": _cell(micro_high),
    }


def _compared(
    champion: Champion, challenger: Challenger, windows: Windows, truth: Truth
) -> PartComparison:
    pooling = champion.bundle.pooling
    before = Challenger.unchanged(champion).answers(windows, pooling)
    return compare(truth, before, challenger.answers(windows, pooling))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
