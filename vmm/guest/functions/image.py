# SPDX-License-Identifier: Apache-2.0
"""image: a picture in the PNG format, rotated and mirrored, with PIL.

  {"width": pixels, "seed": number, "input": size}

Large: a larger picture, which is besides turned by an odd angle, blurred, made smaller and put
through the JPEG format.
"""

import hashlib
import io
import random

from PIL import Image

from . import is_large, number

WIDTH_DEFAULT = 256
WIDTH_LARGE = 640
WIDTH_MAX = 4096
TILE = 16


def make_png(width: int, seed: int) -> bytes:
    """A picture of random tiles, three quarters as high as it is wide."""
    source = random.Random(seed)
    columns, rows = width // TILE + 1, width * 3 // 4 // TILE + 1
    tiles = Image.frombytes("RGB", (columns, rows), source.randbytes(columns * rows * 3))
    picture = tiles.resize((columns * TILE, rows * TILE), Image.Resampling.NEAREST)
    file = io.BytesIO()
    picture.crop((0, 0, width, width * 3 // 4)).save(file, "PNG")
    return file.getvalue()


def through_jpeg(picture: Image.Image) -> Image.Image:
    # Only here: a guest that was warmed with a small input has never seen it.
    from PIL import ImageFilter

    turned = picture.rotate(30, resample=Image.Resampling.BILINEAR, expand=True)
    turned = turned.filter(ImageFilter.GaussianBlur(2))
    turned.thumbnail((turned.width // 2, turned.height // 2))
    file = io.BytesIO()
    turned.save(file, "JPEG", quality=80)
    file.seek(0)
    opened = Image.open(file)
    opened.load()
    return opened


def answer(request: dict) -> dict:
    large = is_large(request)
    width = number(request, "width", WIDTH_LARGE if large else WIDTH_DEFAULT, WIDTH_MAX)
    if width < 2:
        raise ValueError(f"width is {width}; it must be at least 2")
    picture = Image.open(io.BytesIO(make_png(width, int(request.get("seed", 1)))))
    rotated = picture.transpose(Image.Transpose.ROTATE_90)
    mirrored = rotated.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Over the pixels: the packed bytes may differ from one zlib to the next.
    digest = hashlib.sha256(rotated.tobytes() + mirrored.tobytes())
    if large:
        digest.update(through_jpeg(picture).tobytes())
    return {"width": rotated.width, "height": rotated.height, "sha256": digest.hexdigest()}
