"""How a study is run: from the command line to its last line."""
