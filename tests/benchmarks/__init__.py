"""Benchmarks: `make bench`, or `python -m tests.benchmarks --help`.

Figures of shared machines prove nothing by themselves: every one is printed beside a floor measured in the same run.
Nothing here is a test, and no test has a time limit because of it.
"""
