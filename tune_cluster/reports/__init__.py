"""What came of a study, read from its journal alone."""
