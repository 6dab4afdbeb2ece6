"""The command line: one module a command; each parses its options, calls the room that does the work, and prints.

May import everything below it; nothing imports it.
"""
