"""What Pillow makes of an image, for tests of what is computed on whole batches."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageEnhance, ImageOps

FILTERS = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


def pillow(
    image: Image.Image, name: str, v: float, resampling: int = 0, fill: Sequence[int] = (0, 0, 0)
) -> Image.Image:
    """The operation ``name`` of :mod:`longtail.data.operations` as Pillow has it.

    Args:
        image: grey or in colour.
        name: of the operation.
        v: its amount.
        resampling: how moved pixels are read: 0 the nearest, 1 bilinear, 2 bicubic.
        fill: what comes from outside, in colour.
    """
    colour = Image.new("RGB", (1, 1), tuple(fill)).convert(image.mode).getpixel((0, 0))
    affine = {
        "shear_x": (1, v, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, v, 1, 0),
        "translate_x": (1, 0, v * image.size[0], 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, v * image.size[1]),
    }
    if name in affine:
        method = Image.Transform.AFFINE
        return image.transform(image.size, method, affine[name], FILTERS[resampling], fillcolor=colour)
    match name:
        case "identity":
            return image
        case "autocontrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "rotate":
            return image.rotate(v, FILTERS[resampling], fillcolor=colour)
        case "solarize":
            return ImageOps.solarize(image, v)
        case "posterize":
            return ImageOps.posterize(image, int(v))
        case "invert":
            return ImageOps.invert(image)
        case "solarize_add":
            table = [min(255, i + int(v)) if i < 128 else i for i in range(256)]
            return image.point(table * len(image.getbands()))
    return getattr(ImageEnhance, name.capitalize())(image).enhance(v)
