"""
The scaling policy that terraform declares, run against bursts, steady load and idle nights, with metrics late or
absent: `make simulate`; docs/explanation/scaling.md says what it shows. Standard library only; the same seed gives the same
figures.
"""
