"""`make demo`: the whole way on real input, from two feeds to one screen, judged by expectations."""
