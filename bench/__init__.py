"""
Measures loading, receiving and generation, ours and the peers': `make bench`. docs/explanation/performance.md explains
the cases.
"""
