"""
Simulates the scaling policy that terraform declares: bursts, steady load and idle nights, with metrics late or absent.
Run it with `make simulate`; docs/explanation/scaling.md explains the results. It needs only the standard library. The
same seed gives the same figures.
"""
