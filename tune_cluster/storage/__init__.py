"""Where a study's files lie: a folder or a bucket, which may be full or away for a while."""
