"""What loading and receiving cost, ours and the peers: `make bench`; docs/explanation/performance.md says what the cases mean."""
