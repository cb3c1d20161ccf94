"""Drills: faults and stops on purpose against a running installation, measured."""
