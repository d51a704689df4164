"""CGGM (Guo et al. 2024, arXiv 2411.01409) on BraTS 2021: tumours in four kinds of MRI."""
