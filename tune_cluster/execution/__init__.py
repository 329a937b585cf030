"""Running a study, from the command line to its last line."""
