"""Shapes of a load test, one a file, each named beside `locustfile.py` on the command line (docs/load-testing.md)."""
