"""The machines: found or started, asked before the first trial, watched while they come and go."""
