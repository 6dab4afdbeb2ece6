"""`train-baseline METHOD --check`: whether a run can start here, its memory, disk and time."""
