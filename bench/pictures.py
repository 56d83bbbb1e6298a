"""What the costliest legal pictures cost: memory and time from bytes to pixels, each in a process of its own.

    python bench/pictures.py

All are 10,000 pixels square and of one colour, so the files are small and the pixels are not. Memory is the
peak above what the process held before, as Linux counts it (VmHWM: unlike ru_maxrss it leaves out the process
that started this one); seconds are the processor's.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

SIDE = 10_000
PICTURES = {
    "PNG, palette and transparency": ("P", "PNG", {"transparency": bytes(range(256))}),
    "PNG, palette": ("P", "PNG", {}),
    "PNG, grey of 16 bits": ("I;16", "PNG", {}),
    "PNG, RGB": ("RGB", "PNG", {}),
    "PNG, RGB and alpha": ("RGBA", "PNG", {}),
    "JPEG": ("RGB", "JPEG", {}),
    "JPEG, progressive": ("RGB", "JPEG", {"progressive": True}),
    "JPEG, progressive, colours in full": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
    "JPEG, CMYK": ("CMYK", "JPEG", {}),
}


def made(name: str) -> bytes:
    mode, kind, options = PICTURES[name]
    picture = Image.new(mode, (SIDE, SIDE))
    if mode == "P":
        picture.putpalette(bytes(768))
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def measure() -> None:
    """Standard input's picture: MB and seconds."""
    from countenance.vision import images  # noqa: PLC0415 - not in the process that makes the pictures

    data = sys.stdin.buffer.read()
    before, start = peak(), time.process_time()
    images.decode(data)
    seconds = time.process_time() - start
    print(f"{(peak() - before) * 1024 / 1e6:.0f} {seconds:.1f}")


def peak() -> int:
    """KiB."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


def main() -> None:
    print("| 10,000 x 10,000 pixels | file, KiB | memory, MB | processor, s |")
    print("| --- | --- | --- | --- |")
    for name in PICTURES:
        data = made(name)
        command = [sys.executable, __file__, "measure"]
        told = subprocess.run(command, input=data, capture_output=True, check=True, text=False)
        memory, seconds = told.stdout.decode().split()
        print(f"| {name} | {len(data) // 1024:,} | {memory} | {seconds} |", flush=True)


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
