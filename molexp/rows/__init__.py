"""From files to rows: the tables of the catalog, and how the files of a scope fill them."""
