"""The warehouse: every fact of the topics as rows of Iceberg tables, each exactly once, and the SQL that joins them."""
