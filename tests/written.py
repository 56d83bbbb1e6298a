"""Pictures with text, painted with the letters that Pillow carries."""

from __future__ import annotations

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont


def written(
    *lines: str, size: int = 28, turn: float = 0, side: int = 600, at: tuple[int, int] = (40, 40)
) -> Pillow.Image:
    """Black lines on white. turn: degrees against the clock; the picture grows to hold its corners."""
    picture = Pillow.new("RGB", (side, side * 2 // 3), "white")
    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text(at, "\n".join(lines), "black", font, spacing=size // 2)
    return picture.rotate(turn, Pillow.Resampling.BICUBIC, expand=True, fillcolor="white")
