"""Where a store is: `HEADWAY_STORE`, else `.headway/headway.db` beside the plan, else in the working directory.

Owns the folder `.headway`, and what people are shown of a place; what else lies in the folder (`runs/`) is its maker's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from headway.domain.errors import UserError

FOLDER = ".headway"
FILE = "headway.db"
VARIABLE = "HEADWAY_STORE"
# A login ends at the first @ before any slash, as libpq reads it (fe-connect.c, conninfo_uri_parse_options). A URL that
# libpq may read otherwise than it was meant, with a ? or / in its password, is not matched.
_HOST = r"(?:\[[^\[\]@]*\]|[^\[\]@:/?#,]*)(?::\d*)?"
_URL = re.compile(rf"(?:(?P<login>[^@/?]*)@)?(?P<address>{_HOST}(?:,{_HOST})*(?:/[^@:/?#]*)?)"
                  r"(?:\?(?:\w+=[^&]*(?:&\w+=[^&]*)*)?)?")  # fmt: skip


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
    # os.path says no of what may not be looked at, where Path.is_dir raises before Python 3.14
    return str(path / FILE if os.path.isdir(path) or said.endswith(os.sep) else path)


def is_there(place: str) -> bool:
    """Whether a store may be there: a server is asked when it is opened, `none` holds nothing.

    A folder that may not be entered may hold one: who opens it says that it may not be.
    """
    if place == "none" or "://" in place:
        return place != "none"
    try:
        os.stat(place)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def address_of(url: str) -> tuple[str, str] | None:
    """User and password, and server and data base of a URL; None where it is not certain which is which."""
    found = _URL.fullmatch(url.partition("://")[2])
    return None if found is None else (found["login"] or "", found["address"])


def shown(place: str) -> str:
    """A place for people: a path as it is; a URL without user, password and options, or its scheme alone where it is
    not certain what is none of these.
    """
    scheme, is_url, _ = place.partition("://")
    if not is_url:
        return place
    found = address_of(place)
    return f"{scheme}://{found[1] if found else '...'}"


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
