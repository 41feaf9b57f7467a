"""Reasoning for the hard questions: teachers write it, verification decides which texts stay (OCR, cold start data)."""
