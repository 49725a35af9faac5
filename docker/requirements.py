"""Print what segkd and the named extras need, one requirement per line, for ``pip install -r``.

The images install these before segkd itself, so that a change of segkd's own code leaves their large layer as it is.
Runs on the Python 3.12 of the images' first stage, before anything is installed there.

Usage: python requirements.py train,export < pyproject.toml
"""

from __future__ import annotations

import sys

import tomllib


def main() -> None:
    """Read pyproject.toml from stdin and the extras, separated by commas, from the first argument."""
    project = tomllib.loads(sys.stdin.read())["project"]
    extras = [name for name in sys.argv[1].split(",") if name]
    known = project["optional-dependencies"]
    unknown = [name for name in extras if name not in known]
    if unknown:
        sys.exit(f"requirements.py: no extra {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = [*project["dependencies"], *(line for name in extras for line in known[name])]
    print("\n".join(dict.fromkeys(wanted)))


if __name__ == "__main__":
    main()
