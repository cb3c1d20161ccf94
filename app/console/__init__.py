"""One page for people: what happens now, who changed what, and the button that stops it. Server-rendered, on loopback.

Owns a read model of the topics, pages over it, and sessions in which a person's own key signs what the person does. Refuses to
decide anything: every action is a governance record, judged by the log as if it had come from the command line.
"""
