"""Parts of other people's texts that several question types share."""

UNIT_FOLLOWS = r"(?:,? (?:when |at |from |based |measured )[^?\n]{0,60}?)?,?(?: \(?in\b| measured in\b|\?|\.)"
"""What follows the last name of a question that asks for a length."""
