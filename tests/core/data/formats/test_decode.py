"""Pixels come out as they were written, and damaged files do not come out at all."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.checks.facts import facts_of
from segkd.data.formats.decode import DamagedFileError, read_class_values, read_label_values, read_rgb
from tests.core.data.files import cut_short, photo, save, save_palette


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".jpeg", ".webp"])
def test_pictures_are_rgb(tmp_path, suffix) -> None:
    red = np.zeros((8, 24, 3), np.uint8)
    red[..., 0] = 200
    picture = read_rgb(save(tmp_path / f"a{suffix}", red))
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    np.testing.assert_allclose(picture.astype(int), red, atol=8 if suffix in (".jpg", ".jpeg", ".webp") else 0)


def test_grey_transparent_and_16_bit_pictures_become_three_channels_of_8(tmp_path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "grey.png", grey)), np.repeat(grey[..., None], 3, axis=2))
    rgba = np.dstack([photo(8, 8), grey])
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "rgba.png", rgba)), rgba[..., :3])
    deep = np.full((4, 4), 0x1234, np.uint16)
    assert (read_rgb(save(tmp_path / "deep.png", deep)) == 0x12).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("value", range(1, 9))
def test_pictures_come_out_upright_as_viewers_show_them(tmp_path, suffix, value) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    path = tmp_path / f"turned{suffix}"
    grey = np.kron(np.linspace(0, 255, 15).astype(np.uint8).reshape(3, 5), np.ones((16, 16), np.uint8))
    Image.fromarray(np.dstack([grey] * 3)).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    np.testing.assert_allclose(read_rgb(path).astype(int), expected, atol=3)
    assert read_rgb(path).shape[:2] == ((48, 80) if value < 5 else (80, 48))


def test_masks_that_carry_an_orientation_are_turned_too(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for suffix in (".png", ".tif"):
        Image.fromarray(values).save(tmp_path / f"m{suffix}", exif=exif)
        found = read_label_values(tmp_path / f"m{suffix}", png_only=False)
        np.testing.assert_array_equal(found, [[3, 0], [4, 1], [5, 2]])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".gif"])
def test_lossless_masks_give_the_numbers_that_were_written(tmp_path, suffix) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = save(tmp_path / f"grey{suffix}", values)
    np.testing.assert_array_equal(read_label_values(path, png_only=False), values)
    indexed = Image.fromarray(values % 4, mode="P")
    indexed.putpalette([9, 9, 9, 128, 0, 0, 0, 128, 0, 9, 9, 8])
    indexed.save(tmp_path / f"palette{suffix}")
    np.testing.assert_array_equal(read_label_values(tmp_path / f"palette{suffix}", png_only=False), values % 4)
    if suffix != ".png":
        with pytest.raises(DataFileError, match="not a PNG file"):
            read_class_values(path)
        with pytest.raises(DamagedFileError):
            read_label_values(cut_short(path), png_only=False)


def test_masks_of_kinds_that_change_numbers_are_refused_by_name(tmp_path) -> None:
    values = np.zeros((16, 16), np.uint8)
    with pytest.raises(DataFileError, match="a JPEG, which changes class numbers; save masks as PNG"):
        read_label_values(save(tmp_path / "a.jpg", values), png_only=False)
    with pytest.raises(DataFileError, match="WebP, which may change"):
        read_label_values(save(tmp_path / "a.webp", np.dstack([values] * 3)), png_only=False)
    Image.fromarray(np.dstack([values] * 3)).save(tmp_path / "j.tif", compression="jpeg")
    with pytest.raises(DataFileError, match="TIFF file with JPEG inside"):
        read_label_values(tmp_path / "j.tif", png_only=False)
    pages = [Image.fromarray(np.full((4, 4), page, np.uint8)) for page in range(3)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataFileError, match="holds 3 pictures"):
        read_label_values(tmp_path / "pages.tif", png_only=False)
    with pytest.raises(DataFileError, match=r"a fraction, as 0\.5"):
        read_label_values(save(tmp_path / "f.tif", np.full((4, 4), 0.5, np.float32)), png_only=False)


def test_masks_have_no_smaller_limit_than_images(tmp_path, recwarn) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (14000, 13000)).save(path)
    assert read_class_values(path).shape == (13000, 14000)
    assert not recwarn.list


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("keep", [0.5, 0.97])
def test_pictures_cut_short_are_errors(tmp_path, capfd, suffix, keep) -> None:
    path = cut_short(save(tmp_path / f"a{suffix}", photo(40, 60)), keep)
    with pytest.raises(DataFileError, match=f"a{suffix}: (cut short|not a picture)"):
        read_rgb(path)
    assert capfd.readouterr().err == ""


def test_damage_says_nothing_of_other_files_but_wrong_values_do(tmp_path) -> None:
    path = save(tmp_path / "a.png", photo(40, 60)[..., 0])
    with pytest.raises(DamagedFileError):
        read_label_values(cut_short(path))
    with pytest.raises(DamagedFileError):
        read_rgb(tmp_path / "gone.png")
    with pytest.raises(DataFileError) as error:
        read_label_values(save(tmp_path / "b.png", np.full((2, 2), 26001, np.uint16)))
    assert not isinstance(error.value, DamagedFileError)


def test_a_jpeg_with_a_hole_in_it_is_an_error(tmp_path, capfd) -> None:
    path = save(tmp_path / "a.jpg", photo(64, 96))
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + b"\xff\x33" * 8 + data[middle + 16 :])
    with pytest.raises(DamagedFileError, match=r"a\.jpg: damaged JPEG file \(mark 0x33 at byte"):
        read_rgb(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("missing_bytes", [1, 12])
def test_a_png_without_its_very_last_bytes_is_cut_short(tmp_path, missing_bytes) -> None:
    path = save(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    path.write_bytes(path.read_bytes()[:-missing_bytes])
    for read in (read_rgb, read_label_values):
        with pytest.raises(DataFileError, match=r"a.png: cut short after \d+ bytes"):
            read(path)


def test_bytes_after_the_end_do_no_harm(tmp_path) -> None:
    for name in ("a.png", "a.jpg"):
        path = save(tmp_path / name, photo())
        whole = read_rgb(path)
        path.write_bytes(path.read_bytes() + b"camera data")
        np.testing.assert_array_equal(read_rgb(path), whole)


def test_damage_inside_a_png_is_an_error(tmp_path) -> None:
    for read, pixels in ((read_rgb, photo(64, 64)), (read_label_values, photo(64, 64)[..., 0])):
        path = save(tmp_path / "a.png", pixels)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 40] = bytes(40)
        path.write_bytes(bytes(data))
        with pytest.raises(DataFileError, match=r"a\.png: (not a picture|damaged)"):
            read(path)


def png_with(pixels, *chunks: bytes, kind: bytes = b"iCCP") -> bytes:
    """A PNG file with chunks of a kind after its header."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    whole = file.getvalue()
    more = b"".join(struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for c in chunks)
    return whole[:33] + more + whole[33:]


def test_no_library_writes_lines_about_a_png(tmp_path, capfd, recwarn) -> None:
    path, pixels = tmp_path / "a.png", photo(8, 8)
    rgba = np.dstack([pixels, pixels[..., 0]])
    for stored, chunk in ((pixels, b"icc\0\0" + zlib.compress(b"no profile")), (rgba, b"\0\0"), (rgba, b"")):
        path.write_bytes(png_with(stored, chunk, chunk))
        np.testing.assert_array_equal(read_rgb(path), pixels)
        assert facts_of(open_dataset(f"images:{tmp_path}"), 0).fourth_channel == (stored.shape[2] == 4)

    # A palette with transparency, and compressed data that are no data under a right checksum.
    Image.fromarray(pixels).quantize(4).save(path, transparency=bytes([0, 128]))
    assert read_rgb(path).shape == (8, 8, 3)
    whole = png_with(pixels)
    start = whole.index(b"IDAT")
    path.write_bytes(whole[: start - 4] + png_with(pixels, b"no stream", kind=b"IDAT")[33:54] + whole[-12:])
    with pytest.raises(DamagedFileError, match="damaged PNG file"):
        read_rgb(path)
    assert capfd.readouterr().err == "" and not recwarn.list


def test_files_that_are_no_pictures(tmp_path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    for name, message in (("empty", "an empty file"), ("text", "not a"), ("folder", "expected a regular file")):
        for read in (read_rgb, read_label_values):
            with pytest.raises(DataFileError, match=f"{name}.png: {message}"):
                read(tmp_path / f"{name}.png")
    with pytest.raises(DataFileError, match=r"gone\.png: cannot be read \(No such file"):
        read_rgb(tmp_path / "gone.png")


def test_palette_masks_give_indices_not_colours(tmp_path) -> None:
    indices = np.tile(np.arange(4, dtype=np.uint8), (4, 1))
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    for bits in (8, 4, 2):
        path = save_palette(tmp_path / f"p{bits}.png", indices, palette, bits)
        np.testing.assert_array_equal(read_class_values(path), indices)


def test_grey_masks_of_few_bits_give_numbers_not_grey_levels(tmp_path) -> None:
    for bits in (1, 2, 4):
        numbers = np.tile(np.arange(2**bits, dtype=np.uint8), (3, 1))
        path = tmp_path / f"g{bits}.png"
        path.write_bytes(_grey_png(numbers, bits))
        np.testing.assert_array_equal(read_class_values(path), numbers)


def test_masks_of_16_bits_are_read_if_their_values_fit(tmp_path) -> None:
    fits = np.array([[0, 7], [200, 255]], np.uint16)
    np.testing.assert_array_equal(read_class_values(save(tmp_path / "a.png", fits)), fits)
    with pytest.raises(DataFileError, match="holds the value 26001; class numbers are 0 to 255"):
        read_class_values(save(tmp_path / "b.png", np.full((2, 2), 26001, np.uint16)))


def test_colour_masks(tmp_path) -> None:
    colours = photo()
    path = save(tmp_path / "a.png", colours)
    np.testing.assert_array_equal(read_label_values(path), colours)
    with pytest.raises(DataFileError, match="a colour picture, expected a grey or palette PNG"):
        read_class_values(path)
    with pytest.raises(DataFileError, match="PNG of mode LA"):
        read_class_values(save(tmp_path / "la.png", colours[..., :2].copy()))
    jpeg = io.BytesIO()
    Image.fromarray(colours).save(jpeg, "JPEG")
    (tmp_path / "jpeg.png").write_bytes(jpeg.getvalue())
    with pytest.raises(DataFileError, match="not a PNG file"):
        read_class_values(tmp_path / "jpeg.png")


def _grey_png(numbers: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, which Pillow and OpenCV cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = numbers.shape
    rows = []
    for row in numbers:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(b"\0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8)))
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("read", [read_rgb, read_label_values])
def test_what_is_no_plain_file_of_a_size_that_pictures_have(read, tmp_path) -> None:
    huge, pipe = tmp_path / "huge.png", tmp_path / "pipe.png"
    with huge.open("wb") as file:
        file.truncate(1 << 33)
    os.mkfifo(pipe)
    with pytest.raises(DamagedFileError, match="more than 1 GiB"):
        read(huge)
    with pytest.raises(DamagedFileError, match="found a pipe") as caught:
        read(pipe)
    assert str(caught.value).count("pipe.png") == 1
