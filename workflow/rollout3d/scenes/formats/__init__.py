"""Readers of file formats: they know no dataset."""
