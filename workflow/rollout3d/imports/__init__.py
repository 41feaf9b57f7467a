"""Other people's question files: read, normalised, and written as rows of our tables."""
