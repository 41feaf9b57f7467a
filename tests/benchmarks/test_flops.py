"""The operations that the benchmark on a GPU counts, against torch's own counter and the parameters of the 3B model."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText

from flops import prompt_sizes, row_sizes, shape_of
from rollout3d.model import generate_hf, shapes
from rollout3d.model.encode import Text, Video
from rollout3d.model.sampling import Sampling
from rollout3d.planning import flops
from rollout3d.planning.flops import RowSize
from rollout3d.planning.shape import Shape, released
from rollout3d.training.engines.policy import add_adapters
from rollout3d.training.packing import LogProbs, PackedRow, pack
from toyworld.model.architecture import build_tiny, control_ids, sized_config, tiny_tokenizer

WORDS = ["how many chairs are in this room?"]


@pytest.fixture(scope="module")
def policy():
    sizes = {"hidden": 64, "layers": 3, "vision_depth": 3, "vision_hidden": 32, "head_dim": 16}
    made = build_tiny(tiny_tokenizer(WORDS, 400), **sizes)
    made.eos_ids = (-1,)
    return made


def prompt(policy, height=140, width=196, words="how many?", seed=0):
    """Frames of 5 x 7 merged patches: windows of 4 are cut off on both axes."""
    frames = np.random.default_rng(seed).integers(0, 256, (4, height, width, 3), np.uint8)
    return policy.encoder.prompt([Video(frames), Text(words)])


def counted(work):
    """Operations by torch's counter; plain attention, since the counter does not know the CPU's own kernel."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def angles(tokens):
    """The angles of positions, on three axes: a product in transformers, which we leave out."""
    return 3 * 16 * tokens


def padded(packed):
    return packed.position_ids.shape[1] * packed.position_ids.shape[2]


@pytest.fixture(params=["one row", "two rows", "one answer", "same video twice"])
def packed(policy, request):
    long = PackedRow(prompt(policy), [[1, 2, 3, 4], [5, 6], [7]])
    short = PackedRow(prompt(policy, 84, 112, "how?", seed=1), [[1, 2], [3]])
    again = PackedRow(prompt(policy, words="where?"), [[1, 2]])
    rows = {"one row": [long], "two rows": [long, short], "one answer": [PackedRow(prompt(policy), [[1, 2, 3]])]}
    return pack(rows.get(request.param, [long, again]))


def counts(policy, packed, lora_rank=0):
    return flops.packed_forward(shape_of(policy.core.config), row_sizes(packed.rows), dense=True, lora_rank=lora_rank)


def test_the_forward_is_what_torch_counts(policy, packed):
    ours = counts(policy, packed)
    with torch.no_grad():
        assert counted(lambda: LogProbs(policy)(packed)) == ours.total + angles(padded(packed))


def test_forward_and_backward_are_what_torch_counts(policy, packed):
    ours = counts(policy, packed)
    assert counted(lambda: LogProbs(policy)(packed).sum().backward()) == ours.trained() + angles(padded(packed))
    policy.core.zero_grad()


@pytest.mark.parametrize("chunks", [1, 3])
def test_recomputation_is_what_torch_counts(policy, packed, chunks):
    ours = counts(policy, packed)
    module = LogProbs(policy)
    module.chunks = chunks
    policy.core.gradient_checkpointing_enable({"use_reentrant": False})
    policy.core.train()
    try:
        found = counted(lambda: module(packed).sum().backward())
    finally:
        policy.core.gradient_checkpointing_disable()
        policy.core.eval()
        policy.core.zero_grad()
    assert found == ours.trained() + ours.recomputed(head=chunks > 1) + angles(padded(packed))


@pytest.mark.parametrize("trained", ["language", "adapters"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_is_frozen_saves_what_torch_counts(packed, trained, checkpointing):
    sizes = {"hidden": 64, "layers": 3, "vision_depth": 3, "vision_hidden": 32, "head_dim": 16}
    policy = build_tiny(tiny_tokenizer(WORDS, 400), **sizes)
    rank = 4 if trained == "adapters" else 0
    if rank:
        add_adapters(policy.core, rank, seed=0)
    policy.core.model.visual.requires_grad_(False)
    module = LogProbs(policy)
    if checkpointing:
        policy.core.gradient_checkpointing_enable({"use_reentrant": False})
        policy.core.train()
    ours = counts(policy, packed, rank)
    again = ours.recomputed(head=False, trained=trained) if checkpointing else 0
    found = counted(lambda: module(packed).sum().backward())
    assert found == ours.trained(trained, checkpointing) + again + angles(padded(packed))


def test_tokens_that_see_each_other_are_those_of_the_mask(policy):
    row = PackedRow(prompt(policy), [[1, 2, 3, 4], [5, 6], [7]])
    packed = pack([row])
    (size,) = row_sizes([row])
    assert size.pairs == int(packed.attention.sum())
    shape = shape_of(policy.core.config)
    exact, dense = (flops.packed_forward(shape, [size], dense=d).language for d in (False, True))
    assert dense - exact == 4 * 64 * 3 * (len(row) ** 2 - size.pairs)


def test_generation_is_what_torch_counts(policy):
    asked, shape, n = prompt(policy), shape_of(policy.core.config), 3

    def written(tokens):
        return counted(lambda: generate_hf.generate(policy, [asked], Sampling(n, 1.0, 0.9, tokens)))

    head = 2 * 64 * shape.vocabulary
    unseen = 4 * 64 * 3 * (len(asked) ** 2 - len(asked) * (len(asked) + 1) // 2)
    first = flops.prefill(shape, prompt_sizes([asked])).total + unseen + (n - 1) * head
    assert written(1) == first + angles(len(asked))
    assert written(6) == first + angles(len(asked) + 5 * n) + flops.decode(shape, [len(asked)] * n, 5, 4)[0]


@pytest.mark.parametrize("name", shapes.RELEASED)
def test_the_parameters_are_those_of_the_model_class(name):
    config = sized_config(shapes.RELEASED[name], control_ids(tiny_tokenizer(WORDS, 400)))
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    shape = Shape.of(config.to_dict())
    assert shape == released(f"Qwen/{name}")

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert shape.parameters == count(model)
    assert shape.vision_parameters == count(model.model.visual)
    assert shape.language_parameters == count(model.model.language_model.layers) + shape.width
    add_adapters(model, 16, seed=0)
    assert shape.trained_parameters(lora_rank=16) == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_the_sizes_of_3b_are_the_published_ones():
    shape = released("Qwen2.5-VL-3B-Instruct")
    assert shape.language_parameters / 1e9 == pytest.approx(2.775, abs=5e-4)
    assert shape.vision_parameters / 1e9 == pytest.approx(0.668, abs=1e-3)
    assert shape.parameters / 1e9 == pytest.approx(2.775 + 0.311 + 0.668, abs=2e-3)
    one, two = (flops.decode(shape, [prompt], 1, 2)[1] for prompt in (0, 1))
    assert two - one == 36_864  # bytes of keys and values per token
    assert one == pytest.approx(6.2e9, rel=0.01)  # weights that a decoded token reads


@pytest.mark.parametrize(
    ("n", "length", "seconds"), [(4, 300, 0.82), (4, 500, 1.0), (4, 1024, 1.6), (8, 300, 1.1), (8, 1024, 2.7)]
)
def test_estimate_for_an_a100(n, length, seconds):
    """Seconds of reference, forward, backward and recomputation at 40 % of an A100, estimated independently."""
    row = RowSize(1260, (length,) * n, ((8, 20, 26),))
    found = flops.packed_forward(released("Qwen2.5-VL-3B-Instruct"), [row])
    assert found.patches + found.vision + found.merger == pytest.approx(5.4e12, rel=0.01)
    work = found.total + found.trained() + found.recomputed(head=True)
    assert work / (0.4 * 312e12) == pytest.approx(seconds, rel=0.07)


def test_bytes_of_an_update():
    assert flops.adam_bytes(10, 2) == 10 * (2 + 2 + 12 + 12 + 2)  # bfloat16 beside float32 masters
    assert flops.adam_bytes(10, 4) == 10 * (4 + 4 + 12 + 12)
