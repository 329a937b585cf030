"""Reports of a study, from its journal alone."""
