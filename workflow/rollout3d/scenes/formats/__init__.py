"""Readers of file formats, independent of datasets."""
