from datetime import date

from bogc.training.versions import versions


def test_names_what_a_result_was_made_with():
    found = versions()
    assert date.fromisoformat(found["date"])
    assert set(found) >= {"python", "machine", "gpu", "bogc", "torch", "pyro-ppl", "numpy", "scipy"}
