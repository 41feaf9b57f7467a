"""Which training questions are hard: four settings of a filter model, and the questions that tell them apart.

Source: OCR, "Cold Start Data Construction" and Table 1.
"""
