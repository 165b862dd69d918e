"""The default model's training: from published weights to our tags, silent where it is unsure."""
