"""Plugin of lmms-eval: the exported model of this folder."""
