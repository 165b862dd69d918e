"""Errors of the retraining."""

from training.errors import TrainingError


class RetrainingError(TrainingError):
    """Root of the errors of this package."""


class NothingToLearn(RetrainingError):
    """A workspace without a correction that may be learned from."""
