"""The mirror of all records in a database: derived from the files, disposable."""
