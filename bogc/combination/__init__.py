"""Rules that fuse opinions or mass functions; each module has one ``combine``."""

from bogc.combination import cautious, cumulative, dempster, reduced
from bogc.combination.sources import RULES, Rule, Wide, together

__all__ = ["RULES", "Rule", "Wide", "cautious", "cumulative", "dempster", "reduced", "together"]
