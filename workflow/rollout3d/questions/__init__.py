"""Scene tables to questions: one file per category of VSI-Bench, then selection, leak guard and assembly."""
