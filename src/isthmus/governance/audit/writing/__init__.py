"""Writing a log: many tasks, one sequencer, many processes, one folder."""
