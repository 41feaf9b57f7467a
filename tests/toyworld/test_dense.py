"""The dense target: cells in the order of visual tokens, and a loss that is known by hand."""

import math

import numpy as np
import pytest
import torch

from rollout3d.model.encode import Prompt, Text, Video
from rollout3d.training.prefix import Prefix
from toyworld.model.architecture import build_tiny, tiny_tokenizer
from toyworld.model.dense import LAYER, Cells, DenseHead, _by_token
from toyworld.rendering.quick import NUMBER_OF, sample_room

N = len(NUMBER_OF)


NAMES = tuple(NUMBER_OF)


@pytest.fixture(scope="module")
def policy():
    return build_tiny(tiny_tokenizer(["a bed, a tv"], 700), hidden=64, layers=4, vision_depth=1, vision_hidden=32)


def test_tokens_run_by_pair_of_frames_then_row_then_column():
    values = torch.arange(4 * 2 * 3, dtype=torch.float32).reshape(4, 2, 3, 1)
    found = _by_token(values)[..., 0].tolist()
    # Token 0 is the upper left cell of frames 0 and 1, token 1 the one right of it, token 6 that of frames 2 and 3.
    assert found[0] == [0, 6] and found[1] == [1, 7] and found[3] == [3, 9] and found[6] == [12, 18]


def test_each_token_is_of_the_cell_of_its_place(policy):
    """A change of one cell's pixels changes that token the most: the order of tokens is that of cells."""
    head = DenseHead(policy)
    frames = np.full((4, 56, 84, 3), 90, np.uint8)
    other = frames.copy()
    other[2:, 28:, 28:56] = 250  # second pair, second row, second column: token 6 + 3 + 1
    seen = []
    for each in (frames, other):
        policy.features([policy.encoder.medium(Video(each))])
        seen.append(torch.cat(head._features))
        head._features = []
    moved = (seen[0] - seen[1]).norm(dim=1)
    assert int(moved.argmax()) == 10


def test_the_loss_of_an_indifferent_head_is_known(policy):
    """Logits of 0: ln 2 for each category, twice; log-depths of 0 miss those of 1 m by 0, of e metres by 1."""
    head = DenseHead(policy)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    categories = np.zeros((2, 2, 3, N), bool)
    categories[0, 0, 0, 3] = True
    depth = np.full((2, 2, 3), math.e, np.float32)
    depth[1] = 1.0
    depth[0, 0, 0] = 0.0  # no surface: left out
    policy.features([policy.encoder.medium(Video(np.zeros((2, 56, 84, 3), np.uint8)))])
    place = np.zeros((2, 2, 3, 2), np.float32)
    loss = head(Cells(categories, depth, place, NAMES))
    assert float(loss.detach()) == pytest.approx(2 * N * math.log(2) + 5 / 11, rel=1e-6)


def test_places_are_read_off_the_states_of_the_videos_tokens(policy):
    """A head that tells a state's first two coordinates, against those of a plain forward with the same layer's output.

    The question behind the video, and what is answered to it, are read by the same layers and change nothing.
    """
    head = DenseHead(policy)
    with torch.no_grad():
        for parameter in (*head.read.parameters(), *head.locate.parameters()):
            parameter.zero_()
        for row, state in enumerate((0, 1, 0, 1)):
            head.locate.weight[row, state] = 1.0
    frames = np.random.default_rng(0).integers(0, 255, (4, 56, 84, 3), dtype=np.uint8)
    full = policy.encoder.prompt([Video(frames), Text("Where?")])
    cut = int((full.input_ids == policy.encoder.vision_ids[1]).nonzero()[-1]) + 1
    positions = full.position_ids[:, :cut]
    prompt = Prompt(full.input_ids[:cut], positions, int(positions.max()) + 1, full.media, full.key)
    prefix = Prefix(policy, prompt)
    words = policy.embed_tokens(torch.tensor([[5, 6, 7]]))
    prefix.read(words, torch.arange(cut, cut + 3).expand(3, 1, -1), None)
    rng = np.random.default_rng(1)
    place = rng.normal(size=(4, 2, 3, 2)).astype(np.float32)
    depth = np.ones((4, 2, 3), np.float32)
    depth[0, 0, 0] = 0.0  # no surface
    cells = Cells(np.zeros((4, 2, 3, N), bool), depth, place, NAMES)
    made = list(head._features)
    with_places = head(cells, places=True)
    head._features = made
    without = head(cells)
    hidden = policy.core.model.language_model(
        inputs_embeds=policy.prompt_embeddings([prompt])[0][None],
        position_ids=positions[:, None],
        output_hidden_states=True,
    ).hidden_states[LAYER + 1][0]
    shown = torch.isin(prompt.input_ids, torch.tensor(policy.core.config.video_token_id)).nonzero()[:, 0]
    assert len(shown) == 2 * 6 and shown[-1] == cut - 2
    missed = []
    for t, (pair, row, column) in enumerate(np.ndindex(2, 2, 3)):
        for frame in (2 * pair, 2 * pair + 1):
            if depth[frame, row, column] > 0:
                missed += [abs(float(hidden[shown[t], c].detach()) - place[frame, row, column, c]) for c in (0, 1)]
    assert float((with_places - without).detach()) == pytest.approx(np.mean(missed), rel=1e-4)


def test_a_token_is_like_the_mean_embedding_of_a_name(policy):
    head = DenseHead(policy)
    embeddings = policy.core.get_input_embeddings().weight.detach()
    ids = policy.tokenizer.encode(" bed", add_special_tokens=False)
    features = torch.stack([3 * embeddings[ids].mean(0), torch.zeros(64).index_fill(0, torch.tensor([0]), 1.0)])
    found = head._likeness(features, ["bed", "tv"])
    assert float(found[0, 0].detach()) == pytest.approx(10 * 1 - 3, abs=1e-4)
    mean = embeddings[policy.tokenizer.encode(" tv", add_special_tokens=False)].mean(0)
    assert float(found[1, 1].detach()) == pytest.approx(10 * float(mean[0] / mean.norm()) - 3, abs=1e-4)


def test_categories_are_named_as_the_lessons_name_them():
    film = sample_room(3, n_frames=2, width=84, height=56)
    place = NAMES.index("washer")
    assert Cells.of(film, "scannet").names[place] == "washing machine"
    assert Cells.of(film, "arkitscenes").names[place] == "washer"


def test_black_frames_have_no_target_and_leave_nothing_behind(policy):
    head = DenseHead(policy)
    policy.features([policy.encoder.medium(Video(np.zeros((2, 56, 84, 3), np.uint8)))])
    assert float(head(None)) == 0 and head._features == []


def test_an_odd_number_of_frames_ends_with_its_last_twice():
    film = sample_room(3, n_frames=3, width=84, height=56)
    cells = Cells.of(film, "scannet")
    assert len(cells.depth) == len(cells.categories) == 4
    assert np.array_equal(cells.categories[3], film.categories[2])
