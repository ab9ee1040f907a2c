from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from resnet_deploy.data.images import read_image, to_rgb
from resnet_deploy.errors import DatasetError
from tests.support.picture_files import picture_files

RED = (200, 30, 10)


def _save(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def _picture(width: int = 12, height: int = 9) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _read(image: Image.Image, path: Path, **options) -> np.ndarray:
    result = read_image(_save(image, path, **options))
    assert result.mode in ("RGB", "RGBA")
    return np.asarray(to_rgb(result))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_rgb_comes_back_exactly(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    picture = _picture()
    pixels = _read(picture, tmp_path / f"a.{suffix}", **options)
    assert np.array_equal(pixels, np.asarray(picture))


@pytest.mark.parametrize("mode", ["L", "1"])
def test_gray_has_three_equal_channels(tmp_path, mode):
    gray = _picture().convert(mode)
    pixels = _read(gray, tmp_path / "gray.png")
    assert np.array_equal(pixels[..., 0], np.asarray(gray.convert("L")))
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_16_bit_gray_keeps_its_upper_bits(tmp_path):
    values = np.array([[0, 128, 257, 32768, 65535]], dtype=np.uint16)
    for suffix in ("png", "tif"):
        pixels = _read(Image.fromarray(values), tmp_path / f"deep.{suffix}")
        assert pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_palette(tmp_path):
    picture = _picture().quantize(8)
    pixels = _read(picture, tmp_path / "palette.png")
    assert np.array_equal(pixels, np.asarray(picture.convert("RGB")))


def test_cmyk_jpeg(tmp_path):
    pixels = _read(Image.new("RGB", (16, 16), RED).convert("CMYK"), tmp_path / "a.jpg", quality=100)
    assert np.abs(pixels.astype(int) - RED).max() < 8


def test_transparency_is_laid_on_white(tmp_path):
    rgba = Image.new("RGBA", (2, 1), (*RED, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 0))
    assert _read(rgba, tmp_path / "a.png").tolist() == [[list(RED), [255, 255, 255]]]
    la = Image.new("LA", (1, 1), (0, 128))
    assert _read(la, tmp_path / "la.png").tolist() == [[[127, 127, 127]]]


def test_large_pictures_are_converted_in_strips(tmp_path, monkeypatch):
    grey = np.arange(60_000, dtype=np.uint16).reshape(300, 200)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    bands = np.random.default_rng(0).integers(0, 256, (300, 200, 4), np.uint8)
    clear = Image.fromarray(bands)
    whole = np.asarray(_read_grey(tmp_path)), np.asarray(to_rgb(clear))
    monkeypatch.setattr("resnet_deploy.data.images._STRIP_PIXELS", 1001)
    assert np.array_equal(np.asarray(_read_grey(tmp_path)), whole[0])
    assert np.array_equal(np.asarray(to_rgb(clear)), whole[1])


def _read_grey(folder: Path) -> Image.Image:
    return read_image(folder / "grey.png")


def test_transparent_palette_entry_is_laid_on_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, 0, 0, 0])
    picture.putpixel((1, 0), 1)
    for suffix, transparency in (("png", 1), ("gif", 1)):
        pixels = _read(picture, tmp_path / f"a.{suffix}", transparency=transparency)
        assert pixels.tolist() == [[list(RED), [255, 255, 255]]]
    pixels = _read(picture, tmp_path / "bytes.png", transparency=bytes([255, 0]))
    assert pixels.tolist() == [[list(RED), [255, 255, 255]]]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, suffix, orientation):
    # What a viewer shows for a stored picture of red top-left corner, from the EXIF table.
    corner = ["tl", "tl", "tr", "br", "bl", "tl", "tr", "br", "bl"][orientation]
    stored = Image.new("RGB", (32, 16), "black")
    stored.paste((255, 0, 0), (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = read_image(_save(stored, tmp_path / f"a.{suffix}", exif=exif))
    assert upright.size == ((32, 16) if orientation < 5 else (16, 32))
    x = 3 if "l" in corner else upright.width - 4
    y = 3 if "t" in corner else upright.height - 4
    pixels = np.asarray(upright)[..., 0]
    assert pixels[y, x] > 200
    assert (pixels > 128).sum() == 64


def test_damaged_exif_does_not_spoil_a_picture(tmp_path):
    path = _save(_picture(), tmp_path / "a.jpg", exif=b"Exif\0\0II*\0garbage, no directory here")
    assert read_image(path).size == (12, 9)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "bmp"])
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_truncated_images_are_refused_by_name(tmp_path, suffix, share):
    path = _save(_picture(200, 150), tmp_path / f"cut.{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DatasetError, match=rf"cut\.{suffix}") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_image_is_refused(tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    empty = tmp_path / "empty.png"
    empty.touch()
    postscript = tmp_path / "run.jpg"
    postscript.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    for path in (text, empty, postscript):
        with pytest.raises(DatasetError, match=f"{path.name}: it is not a JPEG"):
            read_image(path)


def test_missing_file_folder_and_pipe(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        read_image(tmp_path / "none.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path, tmp_path / "pipe.jpg"):
        with pytest.raises(DatasetError, match="is not a file"):
            read_image(path)


def test_decompression_bombs_are_refused(tmp_path):
    # 20000 x 20000 pixels claimed by a header of a few bytes.
    bomb = tmp_path / "bomb.ppm"
    bomb.write_bytes(b"P6 20000 20000 255\n" + bytes(100))
    with pytest.raises(DatasetError, match="more than 178,956,970 pixels"):
        read_image(bomb)


def test_large_photos_are_not_bombs(tmp_path):
    # 100 megapixels, as phones take: beyond Pillow's warning, which must not leak.
    path = _save(Image.new("1", (10_000, 10_000)), tmp_path / "large.png")
    assert read_image(path).size == (10_000, 10_000)


def test_pixels_of_unknown_range_are_refused(tmp_path):
    for values in (np.ones((2, 2), np.float32), np.full((2, 2), 70_000, np.int32)):
        path = _save(Image.fromarray(values), tmp_path / "deep.tif")
        with pytest.raises(DatasetError, match="of unknown range"):
            read_image(path)


def test_many_threads_at_once(tmp_path):
    paths = [_save(_picture(), tmp_path / f"{i}.tif") for i in range(20)]
    with ThreadPoolExecutor(8) as pool:
        sizes = {image.size for image in pool.map(read_image, paths * 5)}
    assert sizes == {(12, 9)}


def test_all_photos_can_be_read(photos):
    paths = sorted(photos.rglob("*.JPEG"))
    assert len(paths) == 125
    with ThreadPoolExecutor(2) as pool:
        assert {image.mode for image in pool.map(read_image, paths)} == {"RGB"}


def test_a_png_in_an_icon_is_refused_if_rows_are_missing(tmp_path):
    data = picture_files()["bad-rows-8.png"]
    entry = struct.pack("<BBBBHHII", 13, 11, 0, 0, 1, 8, len(data), 22)
    (tmp_path / "a.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + data)
    with pytest.raises(DatasetError, match="it is truncated: it holds fewer pixels"):
        read_image(tmp_path / "a.ico")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_libtiff_prints_nothing_of_its_own(tmp_path, capfd, compression):
    data = bytearray(
        _save(_picture(60, 50), tmp_path / "a.tif", compression=compression).read_bytes()
    )
    with Image.open(tmp_path / "a.tif") as image:
        assert isinstance(image, TiffImageFile)
        start = image.tag_v2[273][0]
    data[start + 20 : start + 60] = b"\xff\0" * 20
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(DatasetError):
        read_image(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


def test_black_pictures_are_whole(tmp_path):
    """Their last row looks as if it were missing, and a byte holds a thousand pixels."""
    for side in (1, 2, 1500):
        for mode in ("L", "RGBA", "I;16"):
            path = _save(Image.new(mode, (side, side)), tmp_path / "a.png", compress_level=9)
            assert read_image(path).size == (side, side)
