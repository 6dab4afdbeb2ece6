"""Commands on what there is: tasks, languages, suites, judges."""
