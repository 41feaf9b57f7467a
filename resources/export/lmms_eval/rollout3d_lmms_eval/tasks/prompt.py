"""The words of a question, for lmms-eval's tasks of this folder: those of the evaluation, byte for byte."""

from pathlib import Path

from rollout3d.evaluation.harness import HarnessSettings, release_text

SETTINGS = HarnessSettings.read(Path(__file__).resolve().parents[2])


def doc_to_text(doc, lmms_eval_specific_kwargs=None):
    """Return the words around a released question; the harness's own settings of the prompt are not read."""
    return release_text(doc, SETTINGS)
