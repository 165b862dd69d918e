"""Errors of the pipeline.

PipelineError
    AnalysisError         bytes that are not a serialised analysis
    SourceError           a source that cannot be listed, or a sound of it that cannot be used
        SourceUnavailable     the way to the sounds is blocked
    BackfillError         a backfill that did not get through its range, or no range at all
    RunCancelled          a run that somebody asked to stop
"""

from core.errors import EarmarkError


class PipelineError(EarmarkError):
    """Base class of this package's errors."""


class AnalysisError(PipelineError):
    """Bytes that are not a serialised analysis, or not a backfill task."""


class SourceError(PipelineError):
    """A source that cannot be listed, or a sound of it that cannot be used."""


class SourceUnavailable(SourceError):
    """The way to a sound is blocked, which says nothing about the sound: try again later."""


class BackfillError(PipelineError):
    """A backfill that did not get through its range, or a range that is none."""


class RunCancelled(PipelineError):
    """A run that somebody asked to stop; what it had finished is kept."""
