"""The embedded judge `rules`: wording that declines, in each language, and answers that are none. Needs no model."""
