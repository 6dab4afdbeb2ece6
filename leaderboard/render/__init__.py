"""From tables to files: CSV, HTML, JSON, LaTeX, Markdown, plots."""
