"""Benchmarks: each prints ratios of this server to a bare one, measured in one run, in turns."""
