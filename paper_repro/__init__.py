"""Published numbers beside what this project measures: ``python -m paper_repro list | run NAME | report``."""
