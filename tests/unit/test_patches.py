"""Pictures cut into patches, compared with transformers' own processor; and kept in files."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from lit_humor.data.pictures.patch_store import Patches, keep_patches
from lit_humor.data.pictures.patches import Cut, cut, fitting, is_too_lengthy

HOW = Cut(patch=4, merge=2, min_pixels=16 * 16, max_pixels=64 * 64)
SIZES = [(64, 64), (20, 40), (300, 77), (7, 9), (1, 90), (129, 128), (8, 500)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _theirs(one: np.ndarray, how: Cut, **options: Any) -> tuple[np.ndarray, list[int]]:
    processor = Qwen2VLImageProcessorPil(
        patch_size=how.patch, merge_size=how.merge, min_pixels=how.min_pixels, max_pixels=how.max_pixels, **options
    )
    made = processor(images=[one], return_tensors="np", input_data_format="channels_last")
    return made["pixel_values"], made["image_grid_thw"][0].tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", [HOW, Cut(16, 2, 65536, 200704), Cut(14, 2, 3136, 50176)])
def test_as_transformers_cuts_them(size: tuple[int, int], how: Cut) -> None:
    one = picture(*size)
    patches, grid = cut(one, how)
    theirs, (frames, *their_grid) = _theirs(one, how, do_rescale=False, do_normalize=False)
    assert (frames, tuple(their_grid)) == (1, grid)
    assert patches.dtype == np.uint8
    assert patches.shape == (grid[0] * grid[1], 3 * how.patch**2)
    both = theirs.reshape(len(patches), 3, 2, how.patch, how.patch)
    for frame in (0, 1):
        assert np.array_equal(both[:, :, frame].reshape(patches.shape), patches)


def test_normalised_afterwards_as_transformers_does() -> None:
    mean, std = [0.5, 0.4, 0.3], [0.5, 0.2, 0.25]
    patches, _ = cut(picture(20, 40), HOW)
    theirs, _ = _theirs(picture(20, 40), HOW, image_mean=mean, image_std=std)
    scaled = (patches.reshape(-1, 3, 16) / 255 - np.reshape(mean, (3, 1))) / np.reshape(std, (3, 1))
    first = theirs.reshape(len(patches), 3, 2, 16)[:, :, 0]
    assert np.abs(first - scaled).max() < 1e-5


def test_sizes_are_those_of_transformers() -> None:
    generator = np.random.default_rng(2)
    for height, width in generator.integers(1, 400, (300, 2)).tolist():
        if max(height, width) <= 200 * min(height, width):
            theirs = smart_resize(height, width, HOW.square, HOW.min_pixels, HOW.max_pixels)
            assert fitting(height, width, HOW) == theirs


def test_the_first_patch_is_the_upper_left_corner() -> None:
    """And the third is below it: those of a square follow one another."""
    one = picture(16, 24)
    patches, grid = cut(one, HOW._replace(min_pixels=1))
    assert grid == (4, 6)
    for number, (row, column) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4), (0, 8)]):
        assert np.array_equal(
            patches[number].reshape(3, 4, 4).transpose(1, 2, 0), one[row : row + 4, column : column + 4]
        )


def test_too_lengthy_to_be_cut() -> None:
    assert is_too_lengthy(picture(1, 201))
    assert is_too_lengthy(picture(201, 1))
    assert not is_too_lengthy(picture(1, 200))


def _several() -> list[Patches]:
    return [cut(picture(*size), HOW) for size in SIZES[:4]]


@pytest.mark.parametrize("in_files", [True, False])
def test_pictures_of_several_sizes_in_one_batch(in_files: bool, tmp_path: Path) -> None:
    store = keep_patches(tmp_path / "kept" if in_files else None, _several())
    assert isinstance(store.values, np.memmap) is in_files
    patches, grids = store.of_pictures(np.array([2, -1, 0, 3, 2]))
    assert grids.tolist() == [[*_several()[number][1]] if number >= 0 else [0, 0] for number in (2, -1, 0, 3, 2)]
    assert patches.shape == (5, grids.prod(axis=1).max(), 48)
    for row, number in enumerate((2, -1, 0, 3, 2)):
        own = _several()[number][0] if number >= 0 else np.zeros((0, 48))
        assert np.array_equal(patches[row, : len(own)], own)
        assert not patches[row, len(own) :].any(), "zeros behind"
    assert store.of_pictures(np.array([-1]))[0].shape == (1, 0, 48)


def test_patches_are_made_once_and_sent_by_name(tmp_path: Path) -> None:
    store = keep_patches(tmp_path / "kept", _several())
    again = keep_patches(tmp_path / "kept", (pytest.fail("cut again") for _ in range(1)))
    assert np.array_equal(again.values, store.values)
    sent = pickle.dumps(store)
    assert len(sent) < 500 < store.values.nbytes
    assert np.array_equal(pickle.loads(sent).values, store.values)
    assert not list(tmp_path.glob(".writing-*"))
    in_memory = pickle.loads(pickle.dumps(keep_patches(None, _several())))
    assert np.array_equal(in_memory.values, store.values)
    assert np.array_equal(in_memory.grids, store.grids)


def test_what_is_not_finished_is_not_there(tmp_path: Path) -> None:
    def broken() -> Any:
        yield _several()[0]
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        keep_patches(tmp_path / "kept", broken())
    assert not list(tmp_path.iterdir())
