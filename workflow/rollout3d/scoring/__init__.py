"""Answers: reading them from a model's text, scoring them, and averaging scores as VSI-Bench does."""
