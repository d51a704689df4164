"""Data sets that everybody has to get for themselves, in the folders that the papers' repositories use.

Each module says in its documentation what its folder holds. ``load_*`` functions read the folder that an
environment variable names, for ``bogc train --dataset paper_repro.readers.MODULE:load_NAME``.
"""
