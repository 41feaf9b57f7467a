"""Find hard training questions: four settings of a filter model, and the questions that only some of them answer.

Source: OCR, "Cold Start Data Construction" and Table 1.
"""
