"""Who may do what on the Kafka cluster: the least that each role of an installation needs."""
