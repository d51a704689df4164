"""What the chapters share: oracles, exact arithmetic, and the checks of the longer chapters."""
