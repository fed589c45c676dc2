"""Questions to the catalog: what is asked, how the engine is asked, and what its answer becomes."""
