"""Settings files beside the weights, for other programs: transformers' processors and `generate`, and vLLM."""

from __future__ import annotations

from typing import Any

from rollout3d.model.encode import ENDS, VISION_SPECIALS
from rollout3d.model.pixels import MEAN, MERGE, PATCH, STD, TEMPORAL_PATCH

GENERATION = "generation_config.json"
"""File of the defaults of `generate`."""


def generation_config(tokenizer: Any) -> dict[str, Any]:
    """Return the defaults of `generate` that give the answers of this package: greedy, without vision tokens.

    The release's own have a repetition penalty of 1.05, which would stay in every model that is trained from it.
    """
    end, text_end = tokenizer.convert_tokens_to_ids(list(ENDS))
    return {
        "bos_token_id": text_end,
        "do_sample": False,
        "eos_token_id": [end, text_end],
        "pad_token_id": text_end,
        "repetition_penalty": 1.0,
        "suppress_tokens": tokenizer.convert_tokens_to_ids(list(VISION_SPECIALS)),
    }


def processor_files(min_pixels: int, image_pixels: int, frame_pixels: int) -> dict[str, dict[str, Any]]:
    """Return the settings of the Hugging Face processors, by file name; vLLM reads them, too.

    An image has at most `image_pixels` pixels, a frame of a video at most `frame_pixels`, both at least `min_pixels`.
    Without these files the lower bound of a frame is 128 * 28 * 28.
    """
    shared = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "merge_size": MERGE,
        "patch_size": PATCH,
        "processor_class": "Qwen2_5_VLProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "temporal_patch_size": TEMPORAL_PATCH,
    }
    return {
        "preprocessor_config.json": {
            **shared,
            "image_processor_type": "Qwen2VLImageProcessor",
            "size": {"shortest_edge": min_pixels, "longest_edge": image_pixels},
        },
        "video_preprocessor_config.json": {
            **shared,
            "cap_pixels_per_frame": False,
            "do_sample_frames": False,
            "size": {"shortest_edge": min_pixels, "longest_edge": frame_pixels},
            "video_processor_type": "Qwen2VLVideoProcessor",
        },
    }
