"""Raw releases to scene tables: `datasets/` reads each release, `formats/` the kinds of files that they consist of."""
