"""`make demo`: the whole way on real input, from two feeds to one screen, checked by expectations. Owns nothing that others need."""
