"""Traps with a known truth: what a naive dashboard says of them, what is true, and what Truelift's own analysis says.

People are drawn, each trap misrecords them as it does in the field, and the same functions judge them that judge a live
experiment: app/analysis. The truth is known since it was drawn: with no effect, whoever finds one is fooled.
"""
