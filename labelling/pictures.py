"""A picture of the pile as a person sees it: the file itself, not the few pixels that a classifier takes of it."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from labelling.project import Project
from stages import reading

PHOTOGRAPH = 256
"""Height or width, in pixels, from which on a picture in colour is sent as JPEG: drawings and small ones stay exact."""


def encoded(project: Project, row: int, most: int) -> tuple[bytes, str]:
    """Encode a picture of the pile.

    Parameters
    ----------
    project : Project
    row : int
    most : int
        Height and width at most, in pixels.

    Returns
    -------
    bytes
    str
        Their media type.

    Raises
    ------
    UnreadableError
        If the file is not there any more, or has changed to something else.
    """
    found = project.picture(row)
    picture = reading.shown(found, most) if isinstance(found, Path) else Image.fromarray(np.asarray(found))
    file = io.BytesIO()
    if picture.mode == "RGB" and max(picture.size) >= PHOTOGRAPH:
        picture.save(file, "JPEG", quality=92)
        return file.getvalue(), "image/jpeg"
    picture.save(file, "PNG")
    return file.getvalue(), "image/png"


def data_uri(project: Project, row: int, most: int) -> str:
    """Encode a picture as a data URI, which holds it; raises as `encoded`."""
    content, kind = encoded(project, row, most)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
