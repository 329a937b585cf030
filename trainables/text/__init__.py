"""The task of texts: to predict classes or numbers from words."""
