"""Folders for the Hugging Face Hub: the question tables as a dataset, a trained model, each with its card.

Nothing here uses the network except `hub`, and that only when a user names a repository.
"""
