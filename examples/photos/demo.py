"""See Sidelamb at work: `python examples/photos/demo.py [--photos FOLDER] [--stay]`.

Starts the whole system on this machine (a real Redis, a local Lambda service, the poller), enqueues as a web app
would, shows what happens, and ends by itself in about half a minute; with --stay it then serves the web page, on
which the job that died can be put right, until Ctrl-C. Nothing is left running. The exit status is 1 if any job is
not accounted for, 2 if something is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

try:
    from models import photographs
    from PIL import Image
    from show import Show
    from story import Story, Unaccounted

    from sidelamb import SidelambError
    from sidelamb_local.errors import LocalStackError
    from sidelamb_local.project import data_dir_of
except ImportError as missing:
    sys.exit(f"demo: {missing.name} is not installed; run `make demo`, or pip install -e '.[local,demo]'")


def main() -> int:
    parser = argparse.ArgumentParser(description="See Sidelamb at work on this machine.")
    parser.add_argument(
        "--photos", type=Path, default=HERE / "photographs", help="a folder with photographs of yours"
    )
    parser.add_argument("--stay", action="store_true", help="then serve the web page, until Ctrl-C")
    options = parser.parse_args()
    folder = options.photos.resolve()
    for name in [name for name in os.environ if name.startswith("SIDELAMB_")]:
        del os.environ[name]  # the demo must not run on a Redis, or with settings, that are for something else
    os.environ["PHOTOS_FOLDER"] = str(folder)
    if not folder.is_dir() or not photographs():
        return problem(f"{folder} has no photographs (.jpg, .jpeg, .png); name a folder that has some", 2)
    for photo in photographs():
        try:
            with Image.open(photo) as image:
                image.thumbnail((64, 64))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            why = str(error).replace(f" {str(photo)!r}", "")
            return problem(f"{photo} cannot be read as a photograph ({why}); take it out of the folder", 2)
    data = Path(tempfile.mkdtemp(prefix="demo-", dir=data_dir_of(HERE)))
    os.environ["PHOTOS_DB"] = str(data / "photos.db")
    show = Show()
    show.end("[bold]Sidelamb[/]: a photo service's background jobs, executed by Lambda; here by a local one", "")
    story = Story(data, show)
    try:
        story.play(HERE, stay=options.stay)
    except Unaccounted as error:
        last = "".join(f"\n      {line}" for line in story.tally.said[-5:])
        return problem(f"{error}\n      the last that poller and stack said:{last}", 1)
    except (LocalStackError, SidelambError) as error:
        return problem(str(error), 2)
    except KeyboardInterrupt:
        return problem("stopped", 130)
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return 0


def problem(sentence: str, status: int) -> int:
    print(f"demo: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
