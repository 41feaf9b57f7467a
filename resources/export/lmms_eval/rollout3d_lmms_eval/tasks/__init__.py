"""Tasks of lmms-eval with the prompt of the exported model."""
