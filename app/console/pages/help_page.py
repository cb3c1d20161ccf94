"""Help: the three tours, what each page is for, and the words."""

from app.console.markup import Html, tag
from app.console.parts import card, link
from app.console.shared import Visit
from app.console.tours import BEGIN, TOURS, WHERE, Step, Tour

WORDS = (
    ("unit", "who is decided for: a user, or a device before login"),
    ("exposure", "the variant was really shown, and its rendering acknowledged"),
    ("holdout", "units that are never treated: the baseline of everything"),
    ("look", "a planned moment at which arms may be compared; each spends part of alpha"),
    ("kill", "ends a policy for good; a new version must be approved to come back"),
    ("budget", "the milliseconds from signal to decision that the event type allows"),
)


async def help_page(visit: Visit) -> Html:
    begin = card("To walk through", _commands((BEGIN, WHERE)), wide=True)
    words = tag("dl", [tag("div", tag("dt", word), tag("dd", meaning)) for word, meaning in WORDS])
    return tag("div", begin, [_tour(tour) for tour in TOURS], card("Words", words, wide=True), class_="cards tours")


def _tour(tour: Tour) -> Html:
    path, title = tour.page
    return card(f"{tour.who}: five minutes", tag("p", tour.about), _commands(tour.steps), tag("p", "Here: ", link(path, title)))


def _commands(steps: tuple[Step, ...]) -> Html:
    made = [tag("li", tag("code", step.command), tag("span", step.shows)) for step in steps]
    return tag("ol", made, class_="commands")
