"""OGM-GE (Peng et al. 2022, arXiv 2203.15332) on clips of sound and video."""
