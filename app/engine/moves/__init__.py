"""How a unit changes its partition while producers, timers and duplicates go on: the protocol of `truelift scale`.

Kafka's default partitioner puts a unit into `hash % count`, so a larger count is another home for some units. Producers learn
of it one by one, at moments of their own, and some never do. Nobody may be decided for by two partitions, nor by one that does
not have the unit's rows. What follows is engine Steps alone: each consumed record has one journal record, a tick one for each
unit that it moves, and a replay of any one partition needs nothing but that partition's own topics.

The unit's *way* is the list of its homes, one for each count that moved it (app/engine/topology.py). On it

1. the old home owns the unit as long as it has its rows. It gives the unit up in one Step (`moved_out`): the rows are deleted
   and go to the new home in `move` links. It does so when the new home asks for the unit, or when a tick comes to it: ticks
   give up a bounded number of units each, from the time on at which the count changed, so that the backlog from before is past,
   and once the new homes have said that somebody consumes them (`open`), so that no unit waits where nobody is;
2. the new home owns the unit when the rows have come (`moved_in`). A record that comes to it before goes to the old home
   (`forwarded`), which gives the unit up and sends the record back behind it. So the old home never decides what the new one
   was sent, and the channel between the two keeps the order;
3. while a record that the new home has sent away is not back, the unit's later ones go the same way: records of a unit from one
   input partition are processed in their order. (That ends when governance calls the change settled.)
4. when the old home has no unit left to give, it says so (`ended`) on the same channels. From then on the new home knows that
   whoever it does not know is new to all;
5. a record that comes to a former home, from a producer with old metadata, goes one step along the way. It carries its first
   topic, partition, offset and append time, and these are what its ids, its lateness and its window are made of, wherever
   and how often it travels.

A unit's rows are therefore at one place or in one `move` at any moment, and moves and records between two partitions cannot
overtake each other: both travel on one partition of `identity_links`, appended by one owner, in transactions.

The state of one unit at one partition; `stand` is where the partition stands on the unit's way (places.py has it as code):

  stand     when                                   its rows           a record comes     then
  home      last of the way, nothing moves to it   any                from anywhere      serve
  arriving  last of the way, the count is moving   any                from the old home  serve
            "                                      here, none away    from elsewhere     serve
            "                                      none, none away    after `ended`      serve
            "                                      none, or one away  from elsewhere     forward to the old home: one more away
  leaving   old home, the count is moving          here               from the new home  moved_out, then forward to the new home
            "                                      here               from elsewhere     serve
            "                                      none               from anywhere      forward to the new home
  former    earlier on the way                     any                from anywhere      forward to the next on the way
  stranger  not on the way                         here               from anywhere      serve: it stays where it always was
            "                                      none               from anywhere      forward to the first of the way

A stranger has rows only where producers used another partitioner before; `truelift scale` refuses to begin while there are any.

What a partition must remember of this is in its `timers` table beside the timers, under keys of its own (arrivals.py): how many
records of a unit are away, how far the ticks have come, and whether the old home has ended. Kept there and nowhere else, a move
survives every crash that a timer survives.

Refuses: shrinking, counts that are no multiple, two changes at once (governance does), and deciding by a partition's view of
governance that is older than that of the link it reads (the agent waits for the log).
"""
