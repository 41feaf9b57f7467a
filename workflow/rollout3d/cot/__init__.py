"""Reasoning for the hard questions: teachers write it, verification decides what is kept (OCR, cold start data)."""
