"""Judges that ask a model: guards and LLM judges, on this machine or behind a server."""
