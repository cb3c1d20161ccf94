"""Pictures as SVG and HTML, drawn on the server: no script, no library, crisp at any size, readable without colour.

Each owns its geometry. Colours are classes of the style sheet, from a palette that the colour-blind can tell apart (Okabe and
Ito, 2008), and never alone: place, shape or a word says the same. Every picture has a title for who cannot see it.
"""
