"""Size of the row groups of tables whose rows hold pictures."""

GROUP = 32
"""Rows per row group: training reads a whole group to get one row's pictures."""
