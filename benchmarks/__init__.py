"""Measured comparisons with librosa.

`python -m benchmarks` runs all of them, `python -m benchmarks logmel clip` these two.
"""
