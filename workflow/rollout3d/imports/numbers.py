"""Numbers of released answers: one plain decimal, in the unit that the question asks for.

Releases write "1.7", "1.7 meters", "170 cm", "about 2", "3 chairs" or "\u22122" for numbers. What has one reading
becomes digits that every scorer reads; what has two ("2,5", "2-3", an area in metres) is refused, never guessed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from rollout3d.imports.records import Unusable

if TYPE_CHECKING:
    from rollout3d.questions.types import Measure, QuestionType


@dataclass(frozen=True)
class Unit:
    """A unit of length or area; `factor`: metres or square metres in one of it."""

    measure: Measure
    factor: Fraction


_LENGTHS = {
    "m": ("1", "m meter meters metre metres"),
    "cm": ("0.01", "cm cms centimeter centimeters centimetre centimetres"),
    "mm": ("0.001", "mm millimeter millimeters millimetre millimetres"),
    "km": ("1000", "km kilometer kilometers kilometre kilometres"),
    "in": ("0.0254", 'in inch inches "'),
    "ft": ("0.3048", "ft foot feet '"),
    "yd": ("0.9144", "yd yard yards"),
}
UNITS = {name: Unit("length", Fraction(factor)) for factor, names in _LENGTHS.values() for name in names.split()}
"""Spelling of a length -> its unit."""
_AREAS = {"sqm": UNITS["m"], "sqft": UNITS["ft"], "sqcm": UNITS["cm"]}
_SQUARED = re.compile(r"(?:(?:square|squared|sq\.?)\s+(?P<before>[a-z]+)|(?P<after>[a-z]+)(?:\s*\^?\s*2|\s+squared))")

DIGITS = 6
"""Decimals of a number that was converted to another unit."""

_SPELLED = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_HEDGE = (
    r"(?:(?:(?:the\s+)?(?:final\s+)?answer(?:\s+is|\s*:)|it\s+is|there\s+(?:is|are)|about|approximately|approx\.?"
    r"|around|roughly|circa|ca\.|~|\u2248)\s*)*"
)
_GROUPED = r"\d{1,3}(?:(?P<by>[,'\u00a0\u2009\u202f])\d{3})(?:(?P=by)\d{3})*(?:\.\d+)?"
_NUMBER = re.compile(
    rf"{_HEDGE}(?P<sign>[+-]?)\s?(?:(?P<grouped>{_GROUPED})|(?P<plain>\d+(?:\.\d*)?|\.\d+)(?:e(?P<power>[+-]?\d{{1,2}}))?"
    rf"|(?P<word>{'|'.join(_SPELLED)})\b)(?P<rest>.*)",
    re.DOTALL,
)
_MINUS = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-"))
_ANY_THING = {"object", "instance", "item", "piece", "in total", "total"}
_WORDS = re.compile(r"[a-z][a-z ]*(?:-[a-z ]+)*")
_NO_NOUN = re.compile(
    r"hundred|thousand|[mbtr]+illion|k|mn|bn|dozen|score|pair|half|halve|third|quarter|fourth|fifth|sixth|eighth|tenth"
    r"|hundredth|percent|point|or|to|and|by|per|time|over|minus|plus|x|th|st|nd|rd|pi|e|i|not|more|less|"
    + "|".join(_SPELLED)
)
"""Words that multiply, divide or go on with the number before them."""
_FAMILIES = (
    {"second", "sec", "minute", "min", "hour", "day", "week", "month", "year"},
    {"gram", "g", "kilogram", "kg", "milligram", "mg", "ton", "tonne", "pound", "lb", "ounce", "oz"},
    {"liter", "litre", "l", "milliliter", "millilitre", "ml", "gallon"},
    {"degree", "radian", "rad"},
    {"dollar", "cent", "euro", "pound"},
)
_ASIDE = re.compile(
    r"\s+(?:apart|away|long|wide|tall|high|approximately|approx|\(approx(?:imately|\.)?\)"
    r"|in (?:length|total|area|size))$"
)
_IN_QUESTION = re.compile(r"\b(?:in|unit is|units?:)\s+(?:(square|sq\.?)\s+)?([a-z]+)(\s*\^?\s*2\b)?")


def number(answer: str, question: str, of_type: QuestionType | None = None) -> str:
    """Return the number of an answer as plain decimal digits, in the unit that its question asks for.

    `of_type`: the type of a question about a scan, None for general data. Raises Unusable if the answer is no
    number, has two readings, has a unit that does not fit, or cannot be the answer to a question of its type.
    """
    asked = of_type.answer if of_type else None
    measure = asked.measure if asked else None
    text = _cleaned(answer)
    found = _NUMBER.fullmatch(text)
    if found is None:
        if any(character.isdigit() for character in text):
            raise Unusable("ambiguous answer", f"'{answer[:80]}' is not one number")
        raise Unusable("malformed answer", f"'{answer[:80]}' is no number")
    rest = _ASIDE.sub("", found["rest"].replace("(s)", "").strip().rstrip(".").strip())
    small = (UNITS["cm"], UNITS["mm"])
    if measure and found["grouped"] and (unit_of(rest) or asked_unit(question, of_type)) not in small:
        raise Unusable("ambiguous answer", f"'{answer[:80]}': thousands, or a decimal comma?")
    digits, value = _value(found)
    factor = _factor(rest, question, of_type)
    if factor is None:
        why = " is not one number" if any(map(str.isdigit, rest)) else ": its unit or noun does not fit the question"
        raise Unusable("ambiguous answer", f"'{answer[:80]}'{why}")
    if factor != 1:
        exact = Fraction(value) * factor
        value, digits = round(Decimal(exact.numerator) / exact.denominator, DIGITS), None
    if digits is None:
        digits = _plain(value)
    if not math.isfinite(float(digits)):
        raise Unusable("malformed answer", f"'{answer[:80]}' is no finite number")
    impossible = value < 0 or (measure == "count" and value != value.to_integral_value())
    if of_type and asked and (impossible or (value == 0 and asked.positive)):
        raise Unusable("impossible answer", f"'{answer[:80]}' to a question of {of_type.name}")
    return _plain(value) if measure == "count" else digits


def asked_unit(question: str, of_type: QuestionType | None) -> Unit | None:
    """Return the unit that a question asks for: as its text says, else its type's; None if unknown or several."""
    asked = of_type.answer if of_type else None
    text = unicodedata.normalize("NFKC", question).lower()
    named = {unit for m in _IN_QUESTION.finditer(text) if (unit := unit_of(f"{m[1] or ''} {m[2]}{m[3] or ''}"))}
    named = {unit for unit in named if of_type is None or (asked and unit.measure == asked.measure)}
    if len(named) > 1:
        return None
    default = Unit(asked.measure, Fraction(1, asked.scale)) if asked and asked.measure != "count" else None
    return next(iter(named), default)


def unit_of(text: str) -> Unit | None:
    """Return the unit that a text spells, such as "cm", "square meters" or "m^2"; None if it is none."""
    text = " ".join(text.lower().split())
    if text in UNITS:
        return UNITS[text]
    squared = _SQUARED.fullmatch(text)
    length = _AREAS.get(text) or (squared and UNITS.get(squared["before"] or squared["after"]))
    return Unit("area", length.factor**2) if length else None


def _cleaned(answer: str) -> str:
    """Small letters, one kind of minus, no quotes or mathematical brackets around, no blanks at the ends.

    Separators of thousands other than the common blank are kept: they tell a group from a list.
    """
    text = "".join(c if c in "\u00a0\u2009\u202f" else unicodedata.normalize("NFKC", c) for c in answer)
    text = "".join(str(unicodedata.decimal(c, c)) for c in text)
    text = text.translate(_MINUS).strip().lower()
    text = re.sub(r"^\\boxed\{(.*)\}$", r"\1", text.strip("$*` "))
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text


def _value(found: re.Match[str]) -> tuple[str | None, Decimal]:
    """Digits as given, or None if they must be written anew; and their value."""
    sign = "-" if found["sign"] == "-" else ""
    if found["word"]:
        digits = str(_SPELLED.index(found["word"]))
    else:
        digits = found["plain"] or found["grouped"].replace(found["by"], "")
        whole, point, part = digits.rstrip(".").partition(".")
        digits = (whole.lstrip("0") or "0") + point + part
    value = Decimal(f"{sign}{digits}e{found['power'] or 0}")
    if value == 0:
        value, sign = abs(value), ""
    return (None if found["power"] else sign + digits), value


def _factor(rest: str, question: str, of_type: QuestionType | None) -> Fraction | None:
    """Return what to multiply an answer by that has `rest` behind its number; None if they do not fit together."""
    if not rest:
        return Fraction(1)
    measure, unit = of_type.answer.measure if of_type and of_type.answer else None, unit_of(rest)
    if measure == "count":
        fits = _singular(rest) in _ANY_THING or (_WORDS.fullmatch(rest) and _words(rest) <= _words(question))
        return Fraction(1) if fits else None
    if measure:
        asked = asked_unit(question, of_type)
        if unit is None or asked is None or unit.measure != asked.measure:
            return None
        return unit.factor / asked.factor
    if unit is None:
        return Fraction(1) if _is_noun(rest, question) else None
    asked = asked_unit(question, None)
    if asked is not None and asked.measure == unit.measure:
        return unit.factor / asked.factor
    words = set(re.findall(r"[a-z]+", question.lower())) - {"in", "m"}
    others = [UNITS[word] for word in words if word in UNITS]
    return Fraction(1) if not others or unit in others else None


def _is_noun(rest: str, question: str) -> bool:
    """Return whether what follows the number of a general answer leaves it as it is: apples, dollars, degrees.

    Not if it multiplies, divides or continues the number, nor if the question names another unit of its kind.
    """
    asked = _words(question) | ({"%"} if "%" in question else set())
    if rest in ("%", "percent"):
        return bool({"%", "percent", "percentage"} & asked)
    if rest == "\u00b0":
        return True
    words = _words(rest)
    for family in _FAMILIES:
        if words & family and asked & family and not words & asked:
            return False
    return bool(_WORDS.fullmatch(rest)) and (
        words <= asked or (len(words) < 3 and not any(map(_NO_NOUN.fullmatch, words)))
    )


def _words(text: str) -> set[str]:
    return {_singular(word) for word in re.findall(r"[a-z]+", text.lower().replace("(s)", ""))}


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ves"):
        return word[:-3] + "f"
    if len(word) > 4 and word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _plain(value: Decimal) -> str:
    """Decimal digits without exponent and without zeros at the end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
