"""Size of the row groups of tables whose rows hold pictures."""

GROUP = 32
"""Rows of a row group: training reads a whole one to get at one row's pictures."""
