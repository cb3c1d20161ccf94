"""OpenFeature's Remote Evaluation Protocol (OFREP 0.3): flags for any OpenFeature client, from the same governed decisions."""
