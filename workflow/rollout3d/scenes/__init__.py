"""Raw releases to scene tables: one reader a dataset, and the synthetic worlds that stand in for licensed data."""
