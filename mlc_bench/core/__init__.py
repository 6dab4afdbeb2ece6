"""Core: what was asked (a run's spec), what went wrong (errors), how far it is (progress), where it was made
(provenance), that nothing is sent to others (telemetry), how the processor is used (processor).

Imports nothing of mlc-bench.
"""
