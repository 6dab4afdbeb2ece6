"""Catalog: which prompts, in which languages. Task files, their data, language files, suites, lm-eval's own tasks.

May import core.
"""
