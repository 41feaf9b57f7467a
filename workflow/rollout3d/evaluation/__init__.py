"""Benchmarks as released, models answering them, and scores beside what guessing would score."""
