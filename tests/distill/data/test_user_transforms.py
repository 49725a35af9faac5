from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import yaml

from segkd.errors import SegkdError
from segkd_distill.data.user_transforms import UserPipeline, UserTransforms, build_transforms, read_transforms

CROP: list[Any] = [{"RandomCrop": {"height": 8, "width": 12, "pad_if_needed": True}}]


def picture(height: int = 20, width: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), rng.integers(0, 3, (height, width), dtype=np.uint8)


def pipeline(*transforms: Any) -> UserPipeline:
    return UserPipeline(UserTransforms((8, 12), [*transforms, *CROP]))


def write(folder: Path, value: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
    return path


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"RandomCrop": {"heigth": 3, "width": 3}}, "RandomCrop: unknown argument 'heigth'; did you mean 'height'?"),
        ({"PadIfNeeded": {"mask_value": 3}}, "PadIfNeeded: argument 'mask_value' is called 'fill_mask' now"),
        ({"GaussNoise": {"var_limit": [1, 2]}}, "GaussNoise: argument 'var_limit' is called 'std_range' now"),
        ("HorizontalFip", "unknown transform 'HorizontalFip'; did you mean 'HorizontalFlip'?"),
        ({"RandomCrop": {"height": "x", "width": 3}}, "RandomCrop: height: Input should be a valid integer"),
        ({"RandomCrop": {"height": -3, "width": 3}}, "RandomCrop: height: Input should be greater than or equal to 1"),
        ("RandomCrop", "RandomCrop: height: Field required"),
        ({"Normalize": {}}, "Normalize: leave it out, pixels stay uint8"),
        ("ToTensorV2", "ToTensorV2: leave it out"),
        ({"Affine": {"mask_interpolation": 1}}, "Affine: mask_interpolation must be 0"),
        ({"OneOf": {"transforms": [{"Blur": {"limit": 3}}]}}, "Blur: unknown argument 'limit'"),
        ({"OneOf": {"transforms": "Blur"}}, "OneOf: transforms: expected a list, got 'Blur'"),
        ("BasicTransform", "BasicTransform: cannot be used by itself"),
        ({"Blur": 3}, "expected Name, or Name: {argument: value}, got {'Blur': 3}"),
        ({"Blur": {}, "RandomGamma": {}}, "expected Name, or Name"),
    ],
)
def test_what_is_wrong_is_an_error_and_no_warning(item: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SegkdError) as error:
        build_transforms([item])
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
    with pytest.raises(SegkdError, match=r"mine\.yaml: "):
        read_transforms(write(tmp_path, [item]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "expected a list of transforms"),
        ("a: b", "expected a list of transforms"),
        ("- [", "not valid YAML"),
        ("transform: {__class_fullname__: Compose, p: 0.5, transforms: []}", "Compose: p: 0.5 has no meaning here"),
    ],
)
def test_files_that_are_no_list(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=message):
        read_transforms(write(tmp_path, text))
    with pytest.raises(SegkdError, match=r"augment\.file .*gone\.yaml: cannot be read"):
        read_transforms(tmp_path / "gone.yaml")


def test_both_forms_give_the_same_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner = [A.Blur(blur_limit=(3, 3), p=1.0), A.RandomGamma(p=1.0)]
    compose = A.Compose([A.HorizontalFlip(p=0.5), A.OneOf(inner, p=0.7), A.RandomCrop(8, 12, fill_mask=255)])
    plain = [
        {"HorizontalFlip": {"p": 0.5}},
        {"OneOf": {"p": 0.7, "transforms": [{"Blur": {"blur_limit": [3, 3], "p": 1.0}}, {"RandomGamma": {"p": 1.0}}]}},
        {"RandomCrop": {"height": 8, "width": 12}},
    ]
    lists = read_transforms(write(tmp_path, plain)), read_transforms(write(tmp_path, compose.to_dict()))
    assert capsys.readouterr().err == ""
    one, other = (UserPipeline(UserTransforms((8, 12), transforms)) for transforms in lists)
    image, mask = picture()
    seen = set()
    for seed in range(8):
        a, b = (each(image, mask, np.random.default_rng(seed)) for each in (one, other))
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
        seen.add(a[0].tobytes())
    assert len(seen) > 5


def test_the_generator_alone_decides() -> None:
    image, mask = picture()
    one = pipeline("HorizontalFlip", {"OneOf": {"transforms": ["Blur", "RandomGamma"], "p": 0.5}})
    first = one(image, mask, np.random.default_rng(3))
    one(image, mask, np.random.default_rng(4))
    again = one(image, mask, np.random.default_rng(3))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_what_lies_beyond_the_picture_is_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    image, mask = picture(5, 6)
    _, labels = pipeline()(image, mask, np.random.default_rng(0))
    assert (labels == 255).sum() == 8 * 12 - 5 * 6
    zero = [{"RandomCrop": {**CROP[0]["RandomCrop"], "fill_mask": 0}}]
    with_class_0 = UserPipeline(UserTransforms((8, 12), zero))
    assert capsys.readouterr().err == ""
    build_transforms(zero, remark=True)
    assert "fill_mask is 0, so what has no label becomes class 0" in capsys.readouterr().err
    assert (with_class_0(image, mask, np.random.default_rng(0))[1] != 255).all()


def test_a_frame_without_mask_is_all_ignored() -> None:
    image, _ = picture()
    cut, labels = pipeline("HorizontalFlip")(image, None, np.random.default_rng(0))
    assert cut.shape == (8, 12, 3) and (labels == 255).all() and labels.shape == (8, 12)


def test_another_size_is_an_error() -> None:
    image, mask = picture()
    wrong = UserPipeline(UserTransforms((8, 12), [{"RandomCrop": {"height": 4, "width": 4}}]))
    with pytest.raises(SegkdError, match=r"give an image of 4x4x3 and a mask of 4x4, augment.crop is 8x12: end them"):
        wrong(image, mask, np.random.default_rng(0))


def test_read_only_pixels_are_copied() -> None:
    image, mask = picture()
    image.flags.writeable = mask.flags.writeable = False
    cut, _ = UserPipeline(UserTransforms((20, 30), [{"CoarseDropout": {"p": 1.0}}]))(
        image, mask, np.random.default_rng(0)
    )
    assert (cut != image).any()


def test_a_slow_transform_is_a_remark_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(build_transforms(["PiecewiseAffine"])) == 1 and capsys.readouterr().err == ""
    build_transforms(["PiecewiseAffine"], remark=True)
    assert "PiecewiseAffine: This augmenter is very slow" in capsys.readouterr().err
