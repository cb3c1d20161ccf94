"""The pages, one module each: questions to the read model and the log, and the markup of the answers. They write nothing."""
