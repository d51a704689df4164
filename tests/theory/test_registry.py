import pytest

from theory.registry import Check, How, check, formula


def test_a_check_knows_its_equations_and_name():
    @check("4.7", "4.8", how=How.RATIONAL)
    def holds() -> float:
        return 0.0

    assert isinstance(holds, Check)
    assert (holds.equations, holds.name, holds.tolerance) == (("4.7", "4.8"), "holds", 0.0)


@pytest.mark.parametrize("numbers", [(), ("4",), ("4.x",), ("4.7 ",)])
def test_malformed_numbers_are_refused(numbers: tuple[str, ...]):
    with pytest.raises(ValueError, match=r"equations must be numbers such as '4.7'"):
        formula(*numbers)(lambda: 0)


@pytest.mark.parametrize(("how", "rate"), [(How.MONTE_CARLO, 0.0), (How.SYMBOLIC, 1e-5)])
def test_monte_carlo_and_no_other_states_a_failure_rate(how: How, rate: float):
    with pytest.raises(ValueError, match="states its failure_rate"):
        check("1.1", how=how, failure_rate=rate)
