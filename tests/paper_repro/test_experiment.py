from dataclasses import replace

from tests.paper_repro.made import Settings, experiment


def test_digest_tells_configurations_and_experiments_apart():
    made = experiment()
    digests = {
        made.digest(Settings()),
        made.digest(Settings(seeds=6)),
        made.digest(Settings(level=9)),
        replace(made, name="other").digest(Settings()),
    }
    assert len(digests) == 4
    assert all(len(digest) == 10 for digest in digests)


def test_digest_depends_on_nothing_else():
    assert experiment().digest(Settings()) == experiment("another row").digest(Settings())
