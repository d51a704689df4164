"""The simulation of Huang et al. 2021 (arXiv 2106.04538), Table 4."""
