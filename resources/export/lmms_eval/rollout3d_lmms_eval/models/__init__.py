"""Models that lmms-eval finds by the environment variable LMMS_EVAL_PLUGINS=rollout3d_lmms_eval."""

AVAILABLE_MODELS = {"rollout3d_vlm": "Rollout3dVlm"}
