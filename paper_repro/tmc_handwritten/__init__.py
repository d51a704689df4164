"""Trusted Multi-View Classification (Han et al. 2021, arXiv 2102.02051) on the handwritten digits."""
