"""A product team's site, as small as can be: a page rendered in the browser, one by the server. `python -m app.edge.sample`."""
