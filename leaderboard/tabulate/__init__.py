"""From collected records to tables: plain data, no file format."""
