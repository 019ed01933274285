"""Whose calendar it is, as far as they say."""

from __future__ import annotations

from dataclasses import dataclass

from geulpi_client._checks import one_of
from geulpi_client._errors import InvalidSetting
from geulpi_client._names import EMPLOYMENTS


@dataclass(frozen=True)
class Person:
    """Whose calendar it is; a week is judged against people like this one. `None` is unknown.

    Args:
        age: in years, 0 to 130.
        employment: one of `EMPLOYMENTS`.

    Raises:
        InvalidSetting: names the field, the value and what is expected.
    """

    age: float | None = None
    employment: str | None = None

    def __post_init__(self) -> None:
        """Refuse what nobody is."""
        age = self.age
        if age is not None and (
            isinstance(age, bool) or not isinstance(age, int | float) or not 0 <= age <= 130
        ):
            raise InvalidSetting("Person.age", age, "years from 0 to 130")
        if self.employment is not None:
            one_of(InvalidSetting, "Person.employment", self.employment, EMPLOYMENTS)
