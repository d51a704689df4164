"""I2M2 (Madaan et al. 2024, arXiv 2405.17613) on digits that are seen and heard."""
