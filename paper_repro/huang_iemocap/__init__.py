"""Huang et al. 2021 (arXiv 2106.04538), Tables 1 to 3: sets of modalities on IEMOCAP."""
