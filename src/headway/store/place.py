"""Where a store is: `HEADWAY_STORE`, else `.headway/headway.db` beside the plan, else in the working directory.

Owns the folder `.headway`; what else lies in it (`runs/`) is its maker's.
"""

from __future__ import annotations

import os
from pathlib import Path

from headway.domain.errors import UserError

FOLDER = ".headway"
FILE = "headway.db"
VARIABLE = "HEADWAY_STORE"


def folder_of(plan_file: str | None = None) -> Path:
    """The folder `.headway` of a plan file, or of the working directory where there is none."""
    return (Path(plan_file).parent if plan_file and plan_file != "-" else Path()) / FOLDER


def place_of(plan_file: str | None = None) -> str:
    """The path or URL of the store of a plan file, or `none`."""
    said = os.environ.get(VARIABLE, "").strip()
    if not said:
        return str(folder_of(plan_file) / FILE)
    if said == "none" or "://" in said:
        return said
    path = Path(said).expanduser()
    return str(path / FILE if path.is_dir() or said.endswith(os.sep) else path)


def is_there(place: str) -> bool:
    """Whether a store may be there: a server is asked when it is opened, `none` holds nothing."""
    return place != "none" and ("://" in place or Path(place).exists())


def prepared(folder: Path) -> Path:
    """The folder, made where it was not there; a `.headway` keeps itself out of version control.

    Raises UserError where it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if folder.name == FOLDER and not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            "the folder of a store must be writable", got=f"{folder}: {error.strerror or error}",
            hint=f"Put it elsewhere with {VARIABLE}=PATH, or keep nothing with {VARIABLE}=none.",
        ) from None  # fmt: skip
    return folder
