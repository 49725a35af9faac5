"""``python -m segkd``."""

from segkd.cli import main

main()
