"""What measures the catalog: the questions, the processes that ask them, and plain loops."""
