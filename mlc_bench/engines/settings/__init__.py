"""What decides an answer besides model and prompt: template and date, sampling, thinking. The same on all engines."""
