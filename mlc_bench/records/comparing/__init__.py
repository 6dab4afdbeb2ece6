"""Two runs against each other: what changed, by more than noise, and what a pipeline may stop a model by."""
