"""Numbers of three digits for tables."""


def three_digits(value: float) -> str:
    """Round to three significant digits, without an exponent up to a million: 26,000 or 4.13."""
    return f"{float(f'{value:.3g}'):,g}"
