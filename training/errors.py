"""Errors of the training."""

from core.errors import EarmarkError


class TrainingError(EarmarkError):
    """Root of the errors of this package."""


class CheckpointError(TrainingError):
    """A checkpoint that cannot be continued from or written."""


class ResultsError(TrainingError):
    """Stored results that are missing, damaged or cannot be written."""


class DatasetError(TrainingError):
    """Training data that cannot be used."""


class CorrectionsError(DatasetError):
    """A workspace whose corrections cannot be used."""


class CoalaError(DatasetError):
    """COALA files that are missing, damaged or something else."""


class PrepareError(DatasetError):
    """An archive that is not the data set it should be, or a folder that cannot be written."""


class ArchiveError(DatasetError):
    """An archive that is damaged, or would write outside its folder."""


class DownloadError(DatasetError):
    """A file that could not be downloaded whole."""


class PretrainedError(TrainingError):
    """Published weights that are missing, damaged or of another network."""
