"""Vocabulary of the rules for the answer: its names, its origins, and the wording of conclusions and reasons."""

from __future__ import annotations

from rollout3d.cot.leaks.phrases import LETTER, NUMBER, QUOTED, any_of

ANSWER = r"an(?:sw|ws)er"
REPLY = any_of(ANSWER, "solution", "response", "option", "choice", "letter", "conclusion", "key")
MEASURE = any_of(
    "values?", "figures?", "numbers?", "counts?", "totals?", "distances?", "sizes?", "areas?", "lengths?", "widths?",
    "heights?", "depths?", "orders?", "orderings?", "sequences?", "directions?", "measurements?", "results?",
    "outcomes?", "dimensions?", "quantit(?:y|ies)", "estimates?",
)  # fmt: skip
HANDED = any_of(
    "given", "provided", "stated", "supplied", "specified", "official", "annotated", "labell?ed", "quoted",
    "documented", "recorded", "prescribed", "gt", "benchmark(?:'s)?", "dataset(?:'s)?",
)  # fmt: skip
"""Words that mark any measure as a given one."""
GIVEN = any_of(
    HANDED, "listed", "known", "expected", "reference", "target", "desired", "required", "intended",
    "data set(?:'s)?", "pre-?determined", "pre-?defined", "golden?", "indicated", "marked", "announced", "declared",
    "true", "actual", "real", "accepted", "confirmed", "verified", "established", "published", "teacher's", "user's",
    "question's", "prompt's", "told", "revealed", "disclosed", "measured", "model", "hidden", "secret", "supposed",
)  # fmt: skip
"""Words that mark an answer as a given one; "the known height of a door" is none."""
RIGHT = any_of("correct", "right", "proper")
SAYS = any_of(
    "says?", "said", "states?", "stated", "indicates?", "lists?", "mentions?", "claims?", "suggests?", "implies",
    "excludes?", "confirms?", "tells?", "told", "shows?", "demands?", "calls for", "specif(?:y|ies)", "reads?",
    "expects?", "insists?", "chose", r"has (?:it|the)\b", "counts?", "wants?", "asserts?", "reveals?", "points? to",
    "gives?",
)  # fmt: skip
TOLD = any_of(
    "told", "given", "handed", "informed", "supplied", "provided", "instructed", "fed", "let in on",
)  # fmt: skip
WAS_GIVEN = any_of(
    "given", "provided", "told", "supplied", "stated", "known", "listed", "marked", "specified", "established",
    "fixed", "said", "flagged", "announced", "quoted", "predetermined", "handed", r"accompan\w+", "mentioned above",
    "revealed", "in (?:hand|advance)", "beforehand",
)  # fmt: skip
MARKED = any_of(
    "marked", "flagged", "labell?ed", "listed", "given", "designated", "indicated", "specified", "noted", "recorded",
    "known", "stated", "confirmed", "said", "supposed", "ticked", "highlighted", "checked", "circled", "starred",
)  # fmt: skip
SUPPOSE = any_of(
    "must", "need(?:s|ed)? to", "ha(?:ve|s) to", "should", "supposed to", "asked to", "goal is to", "aim is to",
    "task is to", "job is to", "want to", "expected to", "required to", "ought to", "meant to", "try(?:ing)? to",
    "so as to", "in order to", "let me", "let's", "let us",
    "how (?:one|i|we|you) (?:would |could |can |might |may )?",
)  # fmt: skip
AIM = any_of(
    "arrives? at", "reach", "gets? to", "get from [^.]{1,30} to", "end up (?:with|at)", "justify", "explain",
    "support", "lead to", "come out (?:as|at|to)", "derive", "work to?wards?", "produce", "land (?:on|at)", "back up",
    "defend", "motivate", "rationali[sz]e", "end (?:with|in)", "obtain", "recover", "reproduce", "come to",
    "finish with", "steer to(?:wards?)?",
)  # fmt: skip
DEFEND = any_of(
    "justify(?:ing)?", "rationali[sz](?:e|ing)", "defend", "motivate", "back up", "explain", "derive",
)  # fmt: skip
TARGET = rf"(?:the |an? |this |that )?(?:\w+ )?(?:{ANSWER}|option|letter|solution|figure|outcome|conclusion)\b"
SAID = rf"(?:{LETTER}|{QUOTED}|{NUMBER}(?! (?:options|objects|choices|frames|steps)))"
"""The answer itself."""
AGAINST = any_of(
    "according to", "as per", "per", "based on", "judging (?:by|from)", "match(?:es|ing|ed)?", "agree(?:s|ing)? with",
    "in (?:line|agreement|accordance|accord|keeping|harmony) with", r"align(?:s|ing|ed)?(?: \w+)? with",
    r"fit(?:s|ting)?(?: \w+)?(?: with)?", "tall(?:y|ies) with", r"coincid\w+ with", "consistent with",
    r"conform\w* (?:to|with)", r"correspond\w*(?: \w+)? to", r"contradict\w*", "same as", "identical to", "against",
    "starting from", r"work\w* back(?:ward)?s? from", "backwards? from", r"work\w* towards?", "close to",
    "near(?: to)?", "equal to", r"compar\w+ (?:with|to)", "reproduces?", r"verif\w+ with", "supported by",
    r"deviat\w+ from", "differs? from", "diverges? from", "not far from", r"adjust\w* (?:\w+ )?to",
    r"reconcile\w* \w+ with", "backed by", "(?:is|'s) not",
)  # fmt: skip
"""Ways to compare something with an answer that is known before."""
THUS = any_of(
    "so", "thus", "therefore", "hence", "consequently", "accordingly", "means?", "meaning", "conclude", "follows",
    "i think", "i believe", "i'd say", "i would say", "i say", "i guess", "finally", "overall", "then", "seems?",
    "in (?:conclusion|sum|summary|total|the end)", "putting", "taken together", "all in all", "altogether",
    "which (?:makes|leaves)", "that (?:makes|leaves)", "must be", "likely", "probably", "suggests?", "tells me",
    "shows? (?:me )?that", "confirms? that", "confident", "this is why", "that's why", "that is why", "points to",
)  # fmt: skip
FIND = any_of(
    "find(?:ing)?", "determin(?:e|ing)", "identify(?:ing)?", "choos(?:e|ing)", "pick(?:ing)?", "select(?:ing)?",
    "figur(?:e|ing) out", "work(?:ing)? out", "decid(?:e|ing)(?: on)?", "giv(?:e|ing)", "look(?:ing)? for",
    "guess(?:ing)?", "search(?:ing)? for", "see which (?:is|one is)", "which (?:one )?is", "what is", "get",
    "estimat(?:e|ing)", "comput(?:e|ing)",
)  # fmt: skip
UNTIL = (
    r"(?:(?!\b(?:since|because|given|knowing|told|says|with|match\w*|agree\w*|fits?|against|contradict\w*|close|near"
    r"|reach|according|based|confirms? the|equals?|(?:to|from|by|towards?) the (?:correct|right"
    r"|true))\b)[^.;]){0,80}?"
)
"""Words that may stand between a marker of a conclusion and the conclusion."""
IS = any_of("is", "must", "should", "has to", "would", "can")

BE = any_of(
    "is", "must be", "should be", "has to be", "would be", "seems", "can only be", "will be", "could be", "might be",
    "may be", "becomes?", "turns out", "then is", "lies", "depends", "follows", "=", ":",
    "comes (?:to|out as|out at)", "can(?:not|'t)?", "cannot be", "to", "were", "needs? to be", "would", "should",
    "must", "might", "could", "will", "has to",
)  # fmt: skip
"""Words that follow "the answer" in a conclusion."""
REPORTED = any_of(
    "said", "stated", "given", "listed", "reported", "quoted", "recorded", "documented", "specified", "annotated",
    "labell?ed", "declared", "noted", "provided",
)  # fmt: skip
