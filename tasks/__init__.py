"""lm-eval task packs: one folder each, with YAMLs, data or a pinned source, and a card."""
