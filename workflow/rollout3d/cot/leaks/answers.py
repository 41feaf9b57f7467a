"""Rules for the answer: the teacher is given it and must still reason as if it were not.

A conclusion ("so the correct option is B") is no leak, a premise ("since the correct option is B") is one. The answer
appears as a noun phrase: a given thing ("the stated distance"), a right one ("the correct order") or plainly
"the answer", "option B", "it"; the rules are about how it is used.
"""

from __future__ import annotations

import re

from rollout3d.cot.leaks.answer_words import (
    AGAINST,
    AIM,
    ANSWER,
    BE,
    DEFEND,
    FIND,
    GIVEN,
    HANDED,
    IS,
    MARKED,
    MEASURE,
    REPLY,
    REPORTED,
    RIGHT,
    SAID,
    SAYS,
    SUPPOSE,
    TARGET,
    THUS,
    TOLD,
    UNTIL,
    WAS_GIVEN,
)
from rollout3d.cot.leaks.phrases import LETTER, NUMBER, QUOTED, WORD, phrase

INNOCENT = (
    phrase(
        "answers and prompts that are things of the room",
        r"^.*\b(?:quiz|crossword|homework|exam|worksheets?|textbooks?)\b.*$|\b(?:login|command) prompt\b",
        r"\bprompts? (?:on|of) the (?:\w+ )?(?:screen|terminal|computer|monitor|laptop)\b",
    ),
    phrase(
        "the answer as the aim of one's own work",
        rf"\b(?:{FIND}|gives?|yields?|provides?|determines?|obtain|reach(?:es)?|refine|narrow|state|round|express"
        rf"|guess) "
        rf"(?:me |us )?the {ANSWER}\b(?! (?:key|of|i|we|that)\b)",
        rf"\b(?:have|know|see) the {ANSWER} now\b",
        rf"\b(?:gets?|got|getting|come|leads?|route|way|clue|closer|help\w*|path|key|steps?) (?:me |us )?(?:to"
        rf"|with) the {ANSWER}\b(?! (?:key|of|\(|{LETTER}))",
        rf"\b(?:as|for|in|before|changes?|affects?) the {ANSWER}\b(?! (?:is|was|must|key))|\bthe (?:unit|form"
        rf"|format) of the {ANSWER}\b",
        rf"\bthe (?:short|simple|obvious|best|likely|plausible|only|wrong|first|most \w+|same|other"
        rf"|natural) {ANSWER}\b",
        r"\b(?:this|that|which|here)(?: is|'s) why\b",
        rf"\bleads? (?:me|us) to the {ANSWER}\b",
    ),
    phrase(
        "a conclusion, with its marker before or inside",
        rf"\b{THUS}\b{UNTIL}"
        rf"\b(?:the |my )?(?:{RIGHT}|final|true|best|actual) (?:{REPLY}|{MEASURE}|one)(?: (?:here|to the question))?"
        rf"(?: {IS}|:|,? _|\.|$)(?! (?:given|provided|stated|listed|told))",
        rf"\b(?:the )?(?:{RIGHT}|final|true) (?:{REPLY}|{MEASURE}) {IS},? "
        r"(?:thus|therefore|hence|then|probably|likely|clearly|be|accordingly)\b(?! (?:known|given|the reason))",
        rf"^the correct {MEASURE} (?:is|must be) [\w ]+, (?:since|because|as)\b",
    ),
    phrase(
        "what was found is right",
        rf"\b(?:{LETTER}|{QUOTED}) (?:(?:is|as|must be|has to be|being|looks like"
        rf"|seems) )?the {RIGHT} (?:{REPLY}|one)\b",
        rf"\b(?:this|that|which|it) (?:is|must be|should be|gives) the {RIGHT} (?:{REPLY}"
        rf"|{MEASURE}|one)\b(?! (?:as|that|we|i)\b)",
    ),
    phrase(
        "a conclusion at the end",
        rf"\bthe (?:{RIGHT}|final) {REPLY} {IS}\b(?=[^,;]*(?:$|, (?:since|because|as)))",
        last_only=True,
    ),
    phrase(
        "one's own search", rf"\b{FIND} (?:the |a )?(?:{RIGHT}|true|actual|final) (?:{REPLY}|{MEASURE}|one)\b(?! \()"
    ),
    phrase(
        "what a right answer depends on",
        rf"\b(?:the |an? )?(?:{RIGHT}|exact|true) (?:{REPLY}|{MEASURE}) "
        r"(?:depends|requires|comes from|is the one|would (?:need|require|depend)|can be (?:found|seen|read))\b",
        rf"\b(?:in|into) the {RIGHT} (?:order|direction|sequence)\b|\b{RIGHT} (?:way|side|hand)\b",
    ),
    phrase(
        "form of the answer",
        rf"\b(?:the |my )?(?:(?:final|required|expected|desired|{RIGHT}) )?{ANSWER} {IS}(?: needs)?(?: to)?(?: be)?"
        r"(?: (?:given|expected|stated|written|provided|expressed))? (?:in|as an?|an? (?:\w+ )?(?:number|letter)"
        r"|to|with|expressed|rounded) (?!by|hand|the)",
    ),
    phrase(
        "options, and what the question says",
        r"^as (?:instructed|specified|stated|told), (?:i|we|the robot)\b",
        rf"\b(?:{ANSWER} )?(?:options|choices|candidates|alternatives)\b|\b{ANSWER} (?:option|choice)(?= [A-F]\b)",
        r"\b(?:listed|given|provided|stated|specified|mentioned) in the (?:question|options?)\b",
        r"\bin the (?:given|listed|stated|specified) (?:order|direction)\b",
        r"\b(?:told|given|says|stated|specified)(?: that)? (?:the "
        r"|all )?(?:distances?|sizes?|heights?|lengths?|order) "
        r"(?:is|are|should be|must be|has to be) (?:measured|taken|in)\b",
    ),
    phrase(
        "the answer is worked out",
        rf"\b{ANSWER} is (?:found|given|obtained|provided) (?:by|through"
        rf"|from) (?!the (?:prompt|user|task|question|key|data))",
    ),
    phrase(
        "known things of the world",
        r"\b(?:known|well-known|standard) (?:reference|object|fact|furniture|thing)s?\b",
        r"\breferences? (?:for|object|point|frame|length|scale|height|size)\b(?! (?:of|is) \d)",
        r"\bas (?:a|my|our) (?:\w+ )?reference\b|\bfor reference\b",
    ),
    phrase(
        "the other meanings of the word",
        rf"\banswering\b|\b{ANSWER} (?:machine|phone|book\w*)\b|\bprompts? (?:me"
        rf"|us)\b|\buser(?:'s)? (?:of|manual|guide)\b",
        r"\bannotations? (?:on|in) (?:the|a) (?:white|black)?(?:board|book|paper|poster|page|margin)\w*\b",
    ),
)

LEAKS = (
    phrase(
        "names of the given answer",
        rf"\bground[- ]?truths?\b|\b(?-i:GT)\b|^gt\b|\b(?:the|per) gt\b|\b{ANSWER}[- ]?keys?\b"
        rf"|\bgold standard\b",
    ),
    phrase(
        "a reply that was given",
        rf"\b{GIVEN},? (?:(?:{RIGHT}|final|true|numerical|numeric|exact) )?(?:{ANSWER}|solution|response)s?\b",
        rf"\b(?:the|this|our|a|that) {GIVEN} (?:(?:{RIGHT}|final|true) )?"
        r"(?:option|choice|letter|conclusion|result|outcome|value|label|truth)\b",
    ),
    phrase(
        "a measure that was told",
        rf"\b(?:the|this|our|that|its) {HANDED} (?:\w+ )?{MEASURE}\b",
        rf"\b(?:the|this|our|that) (?:{HANDED}|desired|target|true|correct|reference) (?:{NUMBER}|{LETTER}|{QUOTED})",
        rf"\bthe {MEASURE} (?:provided|supplied|stated|specified|given)\b(?! (?:in|by|to|that|the|_)\b)",
        rf"\b(?:the|this|our|that|its|a) (?!actual|real){GIVEN} {MEASURE}(?: between \w+ [\w ]+)?"
        rf"(?:,? (?:of|is|was|being|which is|as)|,|:| =| \()\s*(?:\w+ )?{NUMBER}",
    ),
    phrase(
        "a right reply or measure that is no conclusion",
        rf"\b(?:{RIGHT}|known|true) (?:final )?(?:{ANSWER}|solution|option|choice"
        rf"|letter|result|outcome|conclusion)\b(?! _)",
        r"\bright (?:count|value|figure|number)\b(?! (?:of|_))",
        rf"\bcorrect {MEASURE}\b|\bthe correct (?:\w+ ){{1,2}}(?:is|being) (?:{LETTER}|{QUOTED}|{NUMBER})",
    ),
    phrase(
        "papers that hold the answer",
        rf"\b(?:the|this|our|its) (?:\w+ )?(?:reference|key|dataset|benchmark|metadata|hint|teacher) {SAYS}\b",
        r"\b(?:the|per|as|this|these|its|according to) (?:\w+ )?annotations?\b|\bannotators?\b",
        r"\b(?:same as|against|match\w*|per|agrees? with) the (?:reference|label|key)\b(?! (?:_|on|of|hook|ring))",
        rf"\blabel (?:is|=|:|says|reads) (?:{LETTER}|{NUMBER})|\bspoiler\b|\bcheat sheet\b",
        r"\bmeasured in the (?:scan|data|3d|mesh)|\baccording to the (?:scan|data(?:set)?)\b",
        r"\bthe measured (?:distance|size|area|length|height|value|answer)\b",
    ),
    phrase(
        "who asked, and what the task says",
        r"\b(?:the|this|my|our|in) (?:\w+ )?prompts?\b|\bthe user\b|\bsystem message\b",
        rf"\b(?:question|task|exercise|instructions?|problem"
        rf"|assignment)s? (?:\w+ )?(?:{SAYS}|contains?|provides?|includes?) "
        rf"{WORD}{{0,4}}?(?:{ANSWER}|solution|correct)\b",
        rf"\b{ANSWER} (?:is|was) [\w. ]{{1,20}} according to the (?:question|task|instructions?)\b",
    ),
    phrase(
        "the answer speaks",
        rf"\b(?:the|this|that) (?:(?:{RIGHT}|final) )?(?:{ANSWER}"
        rf"|solution)(?: key)? (?:\w+ly |also |already )?{SAYS}\b",
    ),
    phrase(
        "the answer was there",
        rf"\b{ANSWER}(?: [A-F])?(?: to (?:this|it|the question))?,? (?:that |which |as )?"
        rf"(?:(?:is|was|has been|had been|being|were|got) )?(?:already |also |explicitly "
        rf"|just )?{WAS_GIVEN}\b(?! by )",
        rf"\b(?:{ANSWER}|solution|option)(?: {LETTER})? (?:that |which )?(?:i|we|you)(?: (?:already|also))? "
        r"(?:was|were|am|are|have(?! (?:now|to|\w+ed)\b)|had|received|must|know)\b",
        rf"\b(?:{ANSWER}|solution|result|outcome|value|figure|number) (?:that |which )?(?:i|we|you) "
        r"(?:was|were|must|should|(?:need|have|are|am|want) to (?:reach|get|explain|match|arrive))\b",
        r"\bwhat (?:i|we) (?:should|must|(?:are|am) supposed to|have to) (?:get|find|obtain|reach|say|conclude)\b",
        rf"\b{ANSWER} (?:is|was) (?:supposed|meant|expected|required|bound) to be (?!in\b|given|an?\b)",
        r"\b(?:value|figure|number|result) (?:that (?:is"
        r"|has) )?to (?:be )?(?:explained?|justif\w+|reach(?:ed)?|matched)\b",
        rf"\b(?:i|we) already (?:have|know) the {ANSWER}\b",
    ),
    phrase(
        "an option was marked",
        rf"\b(?:option|choice|{ANSWER})s? (?:{LETTER} )?(?:is|was|has been) (?:\w+ )?{MARKED} (?:as|to be) "
        rf"(?:the )?(?:correct|right|true|best|{ANSWER}|{LETTER}|{NUMBER})",
        rf"\b(?:option|choice|{ANSWER}) (?:{LETTER} )?(?:has been|is|was) (?:marked|flagged|designated|confirmed"
        rf"|known)\b",
        rf"\b{MARKED} as (?:the )?(?:correct|right|true|{ANSWER})\b",
    ),
    phrase(
        "as given",
        r"\b(?:as|like|than) (?:was |is |i was |we were |it was |has been |already )?"
        r"(?:given|stated|specified|provided|told|supplied|instructed|dictated)\b(?! (?:in|by"
        r"|above in) the (?:question|options?|video|frames?))",
        r"\bas (?:required|desired|intended)\b|\baccording to what (?:i|we) (?:was|were|know)\b",
        rf"\bas in the {ANSWER}\b",
    ),
    phrase(
        "reasoning from the answer",
        r"\b(?:since|because|given(?: that)?|considering(?: that)?|now that|although|even though|whereas|as) "
        rf"(?:(?:we|i) know )?(?:that )?(?:the )?(?:(?:{RIGHT}|final"
        rf"|true) )?{ANSWER}(?:'s| is| was| =| being| must| should)"
        r"(?! (?:a|the|not)\b)",
        rf"\b(?:since|because|given that|as) (?:it|this) (?:must|has to|should) be (?:option )?{LETTER}",
        r"\b(?:know(?:ing|n)?|told|aware|fact|mind|reveal\w*|given|established"
        r"|remember\w*|recall\w*|suppos\w+|informed)"
        r"(?: is)? (?:in advance |beforehand |already )?(?:that )?(?:the |it )?"
        rf"(?:(?:{RIGHT}|final|true) )?(?:{ANSWER}|result|solution|outcome)\b",
        rf"\bif the {ANSWER} is (?:indeed|really|truly)\b|\b{ANSWER} being (?:{LETTER}|{NUMBER}|{QUOTED})",
        rf"^(?:(?:ok|okay|well|hmm|now|first|right|note that"
        rf"|again)[,:]?\s+)*(?:here )?(?:the |it'?s )?(?:(?:{RIGHT}|final) )?"
        rf"{ANSWER}(?: is| =|:|'s) (?:\w+ )?(?:{SAID}|[\w -]{{1,20}})(?: \w+)?, (?:so"
        rf"|which means|meaning|therefore|hence|thus"
        r"|and so|and therefore)\b(?! (?:i (?:choose|pick|select|go|answer)|that is my))",
    ),
    phrase(
        "the answer as an aim",
        rf"\b{ANSWER} (?:should|must|ought to|needs to|has to) come out\b"
        rf"|\b{SUPPOSE} (?:\w+ )?{AIM} (?:{TARGET}|{SAID})",
        rf"\b(?:supposed|asked|expected|required|meant|told) to (?:conclude|answer|say|choose"
        rf"|pick) (?:that )?(?:{TARGET}|{SAID})",
        r"\b(?:reasoning|thoughts?|explanation|argument|steps"
        r"|logic) (?:\w+ )?(?:should|must|has to|have to|needs? to) "
        r"(?:\w+ )?(?:lead|end|arrive|conclude|result|support|point)\b",
    ),
    phrase(
        "an answer that is defended",
        rf"\b(?:to|let me|let's|i'll|i will|by|for) {DEFEND} (?:{TARGET}|{SAID})|\b{ANSWER}, which is {SAID}",
        rf"\bwhy (?:is|was|would|should) the (?:\w+ )?{ANSWER}\b"
        rf"|\bsee why (?:the (?:\w+ )?)?(?:{ANSWER}|{LETTER}|option)\b",
        rf"\bexplain\w* (?:\w+ )?why (?:the (?:\w+ )?)?(?:{ANSWER}|{LETTER}|{QUOTED}|option)\b[^.]* (?:is|was|=)",
    ),
    phrase(
        "held against the answer",
        rf"\b{AGAINST} (?:the|this|that|an?) (?:(?:{RIGHT}|final|true) )?(?:{ANSWER}|solution)\b",
        rf"\b(?:having|with|armed with|keeping|holding|using|from|knowing|know|taking) the (?:(?:{RIGHT}|final) )?"
        rf"(?:{ANSWER}|solution)\b(?! format)",
        rf"\b(?:{ANSWER}|solution) (?:\([^)]*\) )?(?:at|in) (?:hand|mind)\b|\bcontains the (?:{ANSWER}|solution)\b",
    ),
    phrase(
        "somebody was told",
        rf"\b(?:was|were|am|are|'re|'m|been|being|got)(?:n't| not)? (?:also |already "
        rf"|just )?{TOLD}\b(?: {WORD}{{0,6}}?| )"
        rf"(?:{ANSWER}|solution|outcome|result|correct|right (?:answer|option|one|choice)|option {LETTER}|it'?s|it is"
        rf"|it has to be|there (?:are|is) {SAID}|in advance|beforehand|up ?front|the (?:count|distance|area|size"
        rf"|length|height|number)|{SAID})",
        r"\bit(?:'s| is| was| has been) (?:given|stated|established|specified|known|told"
        r"|provided)(?: \w+ \w+ \w+)? (?:that|as) "
        rf"(?:it'?s |it is |there (?:are|is) )?(?:the (?:{ANSWER}|correct|distance"
        rf"|room|count|area|height|order|number)|{SAID})",
    ),
    phrase(
        "an answer that is hidden",
        r"\bpretend\w* (?:not|to (?!stand|sit|be|walk|look|face|lie|turn|hold)|(?:that )?(?:i|we) (?:do|did|only"
        r"|just|ha))",
        r"\bwithout (?:revealing|mentioning|giving away|disclosing|referring|betraying|admitting)\b",
        r"\bas (?:though|if) (?:i|we) (?:didn't|did not|don't|do not|had(?:n't| not)) (?:know|been told|seen|see)\b",
        r"\b(?:should|must|may|ought)(?:n't| not)(?: to)? (?:\w+ )?(?:mention"
        r"|reveal|refer|disclose|betray|speak of|admit)\b",
        r"\b(?:never|avoid|not (?:allowed|supposed) to|refrain from) (?:mention"
        r"|reveal|refer|disclos|betray|speak)\w*",
    ),
    phrase(
        "the answer as something that exists already",
        rf"(?<!so )(?<!then )(?<!thus )\bthe (?:{NUMBER} (?:\w+ )?)?{ANSWER}\b(?!,? (?:(?:i think|therefore|then"
        rf"|thus|hence|\w+ly),? )?(?:{BE})|[:=.]|,? _| (?:options|choices|format))",
        rf"\ban {ANSWER} of [\w.]+(?: \w+)? (?:means|implies|requires|suggests|would|makes)\b",
        rf"\b(?:verify|confirm|show|prove|demonstrate|see|check|establish|argue) (?:that|how|why) the {ANSWER} (?:is"
        rf"|comes)\b",
        rf"\b(?:if|assuming|supposing|accept\w*|suppose)(?: that)? the {ANSWER} is {SAID}",
        r"\bthe truth\b(?! be told)|\bin reality,? (?:it|there|the)\b|\b(?:officially|reportedly|supposedly"
        r"|allegedly)\b",
    ),
    phrase(
        "a value that somebody reported",
        rf"\b(?:is|are|was|were|being|been) (?:\w+ )?{REPORTED} (?:to be|as|at|to measure|to equal) (?:\w+ )?{SAID}",
        rf"\bthe {MEASURE}(?: of the [\w ]{{1,30}})? (?:is|was|are|has been) (?:already |also )?(?:given|provided"
        rf"|stated|supplied|told)\b"
        r"(?! (?:by|in)\b)",
        rf"\b{SAID}(?: \w+)?,? (?:is|was|being|as|are) (?:what (?:is|was|i|we|the)|given|stated|provided|specified"
        rf"|told|supplied|expected)\b(?! (?:in|by) the)",
        r"\bwhat (?:is|was|has been|i was|we were) (?:given|stated|provided|expected|told|specified|supplied"
        r"|wanted)\b(?! in the question)",
        rf"\b(?:with|given|taking|having|knowing|considering) (?:option )?{SAID} (?:as|being)\b",
        rf"\b(?:knowing|since|because|given)(?: that)? (?:it'?s|it is) (?:{LETTER}|{QUOTED}|option)"
        rf"|\bknow(?:ing)? (?:that )?it(?:'s| is) {SAID}",
        rf"\b(?:consistent with|agrees with|match(?:es|ing)?|in line with|close to|confirms?"
        rf"|equals?) the {NUMBER} ?(?:m|cm|m2|meters?|square meters?|metres?)?(?=[.,;)]|$)",
    ),
    phrase(
        "reasons that are made for an answer",
        rf"\bhow (?:do|can|could|would|might|does|did) (?:we|one|i|you|it) (?:get|arrive|come|obtain|reach"
        rf"|end up)(?: at| to| with)? {SAID}",
        rf"\bwhy (?:is it |it is |it's |option |would it be )?(?:{LETTER}|{QUOTED}|{NUMBER})(?! (?:is not|cannot"
        rf"|can't|isn't))",
        rf"^(?:to|in order to) (?:get(?= {NUMBER}[,. ]*(?:,|$| (?:we|i)))|obtain|reach|arrive at|end up (?:with|at)"
        rf"|land at|make it) {SAID}",
        r"\b(?:reasons?|explanation|justification|argument|rationale|evidence|reasoning) (?:for|behind"
        r"|that leads? to|leading to|which leads? to) "
        rf"(?:the {ANSWER}|(?:choosing )?(?:option )?{SAID})",
        r"\b(?:come up with|find|build|construct|invent|make up|write|give|need) (?:an? )?(?:\w+ )?(?:reasoning"
        r"|explanation|justification|rationale)\b",
        r"\b(?:task|job|goal|aim|purpose) (?:here )?is (?:just |only |simply |now )?to (?:explain|justify|support"
        r"|rationali|reconstruct)",
        rf"\breverse[- ]engineer|\b(?:work|reason|think|go|start)\w* back(?:wards?)? from (?:the (?:{ANSWER}|result"
        rf"|solution)|(?:option )?{SAID})",
        rf"\bfor (?:option |{ANSWER} )?(?:{LETTER}|{QUOTED}|it) to be (?:correct|right|true"
        rf"|the {ANSWER})\b(?![^.]*\bwould\b)",
        r"\b(?:adjust|correct|revise|scale|round|change|stretch|tune)\w* (?:it|this|that|my \w+|the \w+)(?: a bit"
        r"| slightly| up| down)? to (?:match|fit|agree|meet|be consistent)\b",
    ),
)

DOUBTFUL = re.compile(
    r"\b(?:(?:was|were|am|are|been) (?:told|given|informed)|expected|supposed"
    r"|ought to|instructions?|label|solution|known"
    rf"|(?:correct|true|right|actual) (?:{REPLY}|{MEASURE})|(?:if"
    rf"|the) {ANSWER} (?!is\b)|provided|stated|justify|indeed)\b",
    re.IGNORECASE,
)
"""Words that may refer to a given answer; alone they decide nothing."""
