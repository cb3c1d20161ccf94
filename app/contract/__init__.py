"""What crosses a boundary: topics, ids, times, and the shape of every record. Imports nothing else of the project but errors."""
