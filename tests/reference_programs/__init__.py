"""Training scripts written in the style of programs that many people run, none of which knows of
tuning: their flags, what they print, and what they save. Each minimises the same small function."""
