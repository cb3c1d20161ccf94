"""The agents, one small module for each event type: plumbing, no policy. agents/application.py puts them together."""
