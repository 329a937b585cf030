"""Storage of a study's files: a folder or a bucket, which may be full or temporarily away."""
