"""What crosses a boundary: topics, ids, times, and the shape of every record. Imports only errors."""
