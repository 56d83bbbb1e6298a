"""Self-hosted face and scene analysis that speaks Amazon Rekognition's API and answers for itself.

    with countenance.open("~/faces") as rekognition:
        rekognition.list_collections()

The shell is `countenance` (countenance.cli), the fixture for tests `countenance.testing`, the errors
`countenance.errors`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

__all__ = ["open"]


def open(home: str | Path) -> AbstractContextManager[Any]:  # noqa: A001 - as in `countenance.open`
    """A boto3 Rekognition client of a home: of the server that runs on it, otherwise of this process.

    It signs with the home's first key and goes through the same door as every client. Raises HomeError
    where `home` is none.
    """
    from countenance.cli import door  # noqa: PLC0415 - `import countenance` is to cost nothing

    return door.opened(Path(home).expanduser())
