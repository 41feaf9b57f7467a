"""Evaluation: benchmarks as released, the answers of models to them, and scores beside those of guessing."""
