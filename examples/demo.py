"""The main job in a home of its own: `make demo`, or `make demo PHOTOS=folder` with your own photos.

Everything a client does here is plain boto3 with one changed argument, endpoint_url. The two portraits
are in the public domain and come with matplotlib (Grace Hopper) and scikit-image (Eileen Collins).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import matplotlib
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps
from rich.console import Console
from rich.table import Table
from skimage import data

OUT = Path("demo-out")
COUNTENANCE = str(Path(sys.executable).with_name("countenance"))
TURNED = 0x0112  # the EXIF tag that says how a camera was held
PHOTOS = {".jpg", ".jpeg", ".png"}

console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEG or PNG photos to use instead")
    photos = parser.parse_args().photos
    people = read(photos) if photos else portraits()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="countenance-demo-") as folder:
        home = Path(folder) / "home"
        shell("init", "--home", str(home), "--name", "Demo", "--kind", "individual", "--place", "world")
        with serving(home) as rekognition:
            enrol(rekognition, people)
            search(rekognition, people)
        shell("ledger", "verify", "--home", str(home))


def portraits() -> dict[str, Image.Image]:
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {"Grace_Hopper": Image.open(hopper), "Eileen_Collins": Image.fromarray(data.astronaut())}


def read(folder: Path) -> dict[str, Image.Image]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS)[:20]
    if not paths:
        sys.exit(f"{folder} holds no JPEG or PNG photos")
    return {
        "".join(c if c.isalnum() or c in "_.-" else "_" for c in path.stem): Image.open(path)
        for path in paths
    }


def shell(*words: str) -> None:
    console.print(f"[dim]$ countenance {' '.join(words)}[/dim]")
    subprocess.run([COUNTENANCE, *words], check=True)


@contextmanager
def serving(home: Path) -> Iterator[Any]:
    """A server on a free port of this machine, and a boto3 client of it."""
    console.print(f"[dim]$ countenance serve --home {home} --port 0 &[/dim]")
    with (OUT / "server.log").open("w") as log:
        server = subprocess.Popen(
            [COUNTENANCE, "serve", "--home", str(home), "--port", "0"], stdout=log, stderr=log
        )
    try:
        notice = home / "server.json"
        while not notice.exists():
            if server.poll() is not None:
                sys.exit(f"the server did not start; {OUT / 'server.log'} says why")
            time.sleep(0.1)
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(home / "credentials")
        yield boto3.client("rekognition", endpoint_url=json.loads(notice.read_text())["url"])
    finally:
        server.terminate()
        server.wait(60)


def enrol(rekognition: Any, people: dict[str, Image.Image]) -> None:
    rekognition.create_collection(CollectionId="people")
    for name, photo in people.items():
        answer = rekognition.index_faces(
            CollectionId="people", Image={"Bytes": jpeg(photo)}, ExternalImageId=name, MaxFaces=1
        )
        found = answer["FaceRecords"]
        console.print(f"enrolled {name}" if found else f"[yellow]no face to enrol in {name}[/yellow]")


def altered(photo: Image.Image) -> dict[str, bytes]:
    """Copies of a photo as they turn up elsewhere."""
    upright = ImageOps.exif_transpose(photo).convert("RGB")
    width, height = upright.size
    turned = Image.Exif()
    turned[TURNED] = 6  # held upright, stored lying: a reader has to turn it by 90 degrees
    return {
        "cropped": jpeg(upright.crop((width // 20, height // 20, width * 19 // 20, height * 17 // 20))),
        "mirrored": jpeg(ImageOps.mirror(upright)),
        "dimmed": jpeg(ImageEnhance.Brightness(upright).enhance(0.45)),
        "turned": jpeg(upright.transpose(Image.Transpose.ROTATE_90), turned),
    }


def search(rekognition: Any, people: dict[str, Image.Image]) -> None:
    table = Table(title="Altered copies against the collection, at AWS's default threshold of 80")
    for column in ("photo", "copy", "best candidate", "similarity", "ms"):
        table.add_column(column, justify="right" if column in {"similarity", "ms"} else "left")
    right = total = 0
    for number, (name, photo) in enumerate(people.items()):
        for alteration, copy in altered(photo).items():
            started = time.perf_counter()
            best, similarity = candidate(rekognition, copy)
            elapsed = 1000 * (time.perf_counter() - started)
            table.add_row(name, alteration, best, similarity, f"{elapsed:.0f}")
            right, total = right + (best == name), total + 1
            if alteration == "turned" and number < len(portraits()):
                save(rekognition, copy, f"{best} {similarity}", OUT / f"{name}.jpg")
    console.print(table)
    console.print(f"{right} of {total} copies found their original first; pictures in {OUT}/")
    if not right:
        sys.exit("no copy found its original: something is wrong here")


def candidate(rekognition: Any, copy: bytes) -> tuple[str, str]:
    """The first candidate's name and Similarity."""
    try:
        answer = rekognition.search_faces_by_image(CollectionId="people", Image={"Bytes": copy})
    except rekognition.exceptions.InvalidParameterException:
        return "(no face found)", "-"
    if not answer["FaceMatches"]:
        return "(nobody)", "-"
    best = answer["FaceMatches"][0]
    return best["Face"]["ExternalImageId"], f"{best['Similarity']:.2f}"


def save(rekognition: Any, copy: bytes, caption: str, path: Path) -> None:
    """The photo as people see it, with a box and the candidate's name."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(copy))).convert("RGB")
    faces = rekognition.detect_faces(Image={"Bytes": copy})["FaceDetails"]
    if not faces:
        return
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    box = faces[0]["BoundingBox"]
    left, top = box["Left"] * width, box["Top"] * height
    corner = (left + box["Width"] * width, top + box["Height"] * height)
    line = max(2, width // 200)
    font = ImageFont.load_default(size=max(14, width // 28))
    draw.rectangle(((left, top), corner), outline="#ffd400", width=line)
    text = draw.textbbox((left, top), caption, font=font, anchor="lb")
    draw.rectangle(text, fill="#ffd400")
    draw.text((left, top), caption, fill="black", font=font, anchor="lb")
    picture.save(path, quality=90)


def jpeg(photo: Image.Image, exif: Image.Exif | None = None) -> bytes:
    """At most 2,000 pixels a side, as a browser upload would be; upright unless `exif` turns it."""
    copy = photo.convert("RGB") if exif else ImageOps.exif_transpose(photo).convert("RGB")
    copy.thumbnail((2000, 2000))
    stream = io.BytesIO()
    copy.save(stream, "JPEG", quality=90, **({"exif": exif} if exif else {}))
    return stream.getvalue()


if __name__ == "__main__":
    main()
