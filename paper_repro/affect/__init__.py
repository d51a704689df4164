"""CGGM (Guo et al. 2024, arXiv 2411.01409) on text, voice and face: CMU-MOSI and IEMOCAP."""
