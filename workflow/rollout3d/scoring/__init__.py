"""Read answers from a model's text, score them, and average scores as VSI-Bench does."""
