"""From files to rows: what the tables of the catalog hold, and how the files of a scope fill them."""
