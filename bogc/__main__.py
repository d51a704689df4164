"""python -m bogc."""

from bogc.cli import main

main()
