"""Trained models of other libraries -> the model of a policy's body, checked against the original before it is written."""
