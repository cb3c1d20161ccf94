"""`truelift scale --partitions N` and `truelift partitions`: more partition groups, while producers and workers go on.

What moves, and why nothing is lost or rerolled by it, is the engine's (app/engine/moves). The command leads a change through:

  the log says          the topics have   the command
  no change, settled    the old count     checks the plan, writes `expanding`
  expanding             either count      adds the partitions, waits for their leaders, writes `moving`
  moving                the new count     waits until every new partition has journalled that its old one has ended, and
                                          until no link of before is unread; writes `settled`
  settled               some the old one  adds the partitions that are lacking: a topic was made with the old count
  another change        any               refuses: that one has to be finished first

The state of a change is in the governance log, the topics and the journal, and nowhere else. So the command may be killed at
any point and run again by anybody; two at once do no harm, since a record that does not follow is refused by every fold. The
workers need it for none of their part: a change whose command has died goes on moving, and only lacks its last record.
"""
