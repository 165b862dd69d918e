"""What networks learn from: clip folders, COALA, people's corrections, public data sets."""
