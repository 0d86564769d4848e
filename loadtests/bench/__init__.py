"""Benchmarks: the engine beside its baselines, in turns on one machine, verified and told with their spread.

`scripts/bench` is `python -m loadtests.bench` (docs/benchmarks.md). A *side* is what is measured: the engine with all
its roles, or a baseline. A *scenario* says what is done to each side in a round, and gives a *sample* of figures a
round; what a round gave out is held against what its store holds. `script` and `settling` are programs of their own,
which compare versions of one room of the engine. Load goes to loopback only, and every load has an end.
"""
