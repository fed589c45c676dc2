"""The contestants of `bench_runs`, each a program for an environment of its own."""
