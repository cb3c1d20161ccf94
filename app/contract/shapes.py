"""What records are made of: narrow names, and a model that is strict about them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# Keys go into ids (parts joined by U+001F) and into topic and metric names: a narrow charset keeps all of them unambiguous.
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
# As the envelope has it.
EventName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
DottedName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}(\.[a-z0-9_]{1,64}){0,7}$")]
VariantKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Path = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]{1,256}$")]
Permille = Annotated[int, Field(ge=1, le=1000)]


class Strict(BaseModel):
    """Frozen, no unknown key, no coercion. Lists arrive as JSON arrays and are kept as tuples."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, serialize_by_alias=True)
