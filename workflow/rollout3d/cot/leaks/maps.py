"""Rules for the map: the picture of the room from above that the teacher is shown and the student is not.

A leak names that picture ("the bird's-eye view", "the floor plan", "the first image") or reads from it ("on the plan",
"seen from above"). Innocent are drawn things that belong to the room, one's own imagination, and somebody or a camera
that stands high and looks down.
"""

from __future__ import annotations

import re

from rollout3d.cot.leaks.phrases import WORD, any_of, phrase

PICTURE = any_of(
    "views?", "veiws?", "images?", "pictures?", "pics?", "photos?", "photographs?", "shots?", "maps?", "plans?",
    "layouts?", "perspectives?", "visuals?", "visuali[sz]ations?", "render(?:ing)?s?", "screenshots?", "schematics?",
    "diagrams?", "drawings?", "representations?", "projections?", "snapshots?", "depictions?", "illustrations?",
    "sketch(?:es)?", "overviews?", "graphics?", "scans?", "angles?", "vantage points?",
)  # fmt: skip
HIGH_PHOTO = (
    r"(?:aerial|satellite|drone|overhead|bird'?s[- ]eye|top[- ]down)[- ](?:view )?"
    r"(?:photos?|photographs?|pictures?|images?|posters?|paintings?|prints?|views?)"
)
DRAWN = any_of(
    "maps?", "floor ?-?plans?", "plans?", "blueprints?", "schematics?", "diagrams?", "drawings?", "sketch(?:es)?",
    HIGH_PHOTO,
)  # fmt: skip
"""Drawn things that may hang in a room, or be the map."""
SHOWS = any_of(
    "shows?", "showed", "showing", r"indicat\w+", "reveals?", "confirms?", "depicts?", "displays?", "marks?",
    "suggests?", "says?", "tells?", "places?", "puts?", "gives?", "makes? (?:it )?clear", "helps?", "agrees?",
    "lists?", "contains?",
)  # fmt: skip
DEPICTS = any_of("shows", "indicates", "reveals", "depicts", "displays", "marks", "tells", "says")
READ = any_of(
    "in", "on", "from", "at", "by", "with", "per", "to", "into", "see", "using", "use", "via", "of", "checking",
    "check", r"consult\w*", r"examin\w+", r"inspect\w*", r"read\w*", "stud(?:y|ying)", r"trac\w+", r"compar\w+",
    r"match\w*",
)  # fmt: skip
"""Prepositions and verbs before a picture that is read."""
THE = any_of("the", "this", "that", "our", "my")
PROVIDED = any_of("provided", "supplied", "given", "attached", "included", r"preced\w+")

ROOM = any_of(
    "rooms?", "scene", "apartment", "flat", "space", "house", "kitchen", "bedroom", "floor", "place", "layout"
)
ABOVE = (
    r"(?:(?:directly|straight|right|high|far|up|somewhere)\s+)*"
    r"(?:above|overhead|the top|the ceiling|the sky|the air|atop)\b"
)
SURFACE = any_of(
    "walls?", "doors?", "doorway", "fridge", "refrigerator", "shelf", "shelves", "desk", "tables?", "closet",
    "wardrobe", "curtains?", "rug", "carpet", "pillow", "cushion", "blanket", "poster", r"(?:\w+)?board", "blinds?",
    "cupboard", "cabinet", "mug", "bed", "sofa", "couch", "dresser", "fireplace", "window", "screen", "monitor", "tv",
    "notebook", "lampshade", "duvet", "bedspread", "headboard", r"mantel\w*", "nightstand", "floor", r"book\w*",
    "phone", "laptop",
)  # fmt: skip
FIXED = any_of(
    "hangs?", "hanging", "hung", "pinned", "taped", "framed", "printed", "mounted", "glued", "stuck", "attached",
    "posted", "spread", "lies?", "lying", "rolled", "folded", "tacked", "painted", r"decorat\w+", "covers?",
    "covering", "leaning", "leans?", "unrolled", "sewn", "woven", "fastened", "fixed",
)  # fmt: skip
STANDPOINT = any_of(
    "camera", "phone", "person filming", "someone filming", "cameraman", "filmed", "filming", "balcony", "gallery",
    "stairs?", "staircase", "landing", "ladder", "upstairs", "loft", "bunk", "mezzanine", "railing", "banister",
    "downstairs", "tilts?", "tilted", "standing on", "leaning over", "holds?", r"frames? \d+", "this frame",
)  # fmt: skip
KIND_OF_PAPER = any_of(
    "world", "evacuation", "escape", "emergency", "exit", "fire", "subway", "metro", "tube", "underground", "city",
    "town", "treasure", "road", "street", "transit", "train", "railway", "bus", "tram", "tourist", "travel", "wall",
    "weather", "star", "school", "geographic(?:al)?", "political", "relief", "antique", "vintage", "old", "framed",
    "folded", "paper", "decorative", "hiking", "trail", "ski", "park", "campus", "country", "pirate", "nautical",
    "sea", "scratch(?:-off)?", "seating", "lesson", "meal", "study", "week(?:ly)?", "heat", "wiring", "circuit",
    r"anatom\w+", "assembly", "google", "mind", "story", "concept", "magnetic", "pin", "embroidered", "wooden",
    "felt",
)  # fmt: skip
ELSEWHERE = any_of(
    "world", "earth", "globe", "country", "city", "town", "subway", "metro", "continents?", "stars?", "sky", "region",
    "county", "states?", "islands?", "middle[- ]earth", "solar system", "usa?", "uk", "village", "river", "coast",
    r"(?-i:[A-Z][a-z]+)",
)  # fmt: skip
NOT_READ = r"(?<!\bin the )(?<!\bon the )(?<!\bto the )(?<!\bfrom the )"
GAP = r"(?:(?!\b(?:image|picture|map|plan|layout|overhead|confirms?)\b)[^;:]){0,80}?"
"""Text that may stand between a viewer and the view, unless it mentions a picture."""
AGAIN = (
    r"\b(?:the|this|that|such|these|those|both|other) (?:\w+ )?(?:maps?|plans?|blueprints?|diagrams?|drawings?)\b"
    r"(?! views?)"
)
"""A thing of the room that was introduced before."""

INNOCENT = (
    phrase(
        "words that only sound like the map",
        r"\bbird'?s?[- ]?eye (?:maple|chil\w+|pepper)|\btop[- ]down (?:blinds?|shades?|order)\b|\bpicture (?:frames?"
        r"|books?|rail|window)\b",
        r"\bphoto (?:frames?|album|wall)\b|\bprojection (?:on|onto) (?:the|a) (?:\w+ )?(?:wall|screen|board"
        r"|whiteboard)\b",
        r"\b3-?d[- ](?:print\w*|puzzle|glasses|model of an?)\b|\b(?:picture|image) (?:that )?(?:i"
        r"|we) have (?:in mind|of)\b",
        r"\bmap[- ](?:holder|pocket|case|tube|drawer|pins?|print|pattern\w*|like|themed|cushion|wallpaper|puzzle|rug"
        r"|poster|mural)\b",
    ),
    phrase(
        "light and lamps come from above",
        r"\b(?:light\w*|lit|lamps?|shin\w+|illuminat\w+|hang\w*|falls?|comes?|dangl\w+|suspended|skylight|sun\w*"
        r"|spotlights?)\b"
        rf"[^.;:]{{0,50}}\bfrom {ABOVE}",
    ),
    phrase(
        "a map that nobody knew of yet belongs to the room",
        r"(?<!have )(?<!given )(?<!got )(?<!with )(?<!like )(?<!as )(?<!use )(?<!using )\ban? "
        r"(?:(?!bev|top|overhead|bird|floor|2d|room|scene|layout|given|provided|schematic|aerial)[\w-]+ ){0,2}map\b"
        rf"(?! of (?:the|this|our) (?:\w+ )?{ROOM})(?!,? (?:shows|view|image|that was|was given|provided|given))",
        r"\b(?:books?|papers?|globes?|atlas\w*|posters?|photos?|flags?|brochures?),? (?:and|or"
        r"|with) (?:\w+ )?maps?\b|\bmaps? (?:and|or) (?:books?|posters?|photos?|globes?)\b",
        introduces=AGAIN,
    ),
    phrase(
        "a drawn thing of a kind that hangs in rooms",
        rf"\b{KIND_OF_PAPER}[- ]+{WORD}?{DRAWN}\b(?!['\w])",
        r"\bmaps? app(?:lication)?s?\b",
        introduces=AGAIN,
    ),
    phrase("a picture of somewhere else", rf"\b{DRAWN} of (?:the |a )?(?:\w+ )?{ELSEWHERE}\b", introduces=AGAIN),
    phrase(
        "a drawn thing that is fixed somewhere, lies about, or is printed on something",
        rf"{NOT_READ}\b{DRAWN}(?:,? (?:that|which))?(?: (?:is|are|was|were|has been"
        rf"|can be seen))?(?: \w+ly)? {FIXED}\b",
        rf"\ban? {WORD}{{0,3}}{DRAWN}\b(?:(?!\b{SHOWS}\b)[^,.;:]){{0,60}}\b{FIXED}\b",
        rf"\b{FIXED} (?:(?!the|a|an|on|in|at|of|to)\w+ )?{DRAWN}\b",
        rf"\b(?:{FIXED}|{SURFACE})\b[^,.;:]{{0,40}}\b(?:is|are|hangs|with|has|shows|there's"
        rf"|carries) an? {WORD}{{0,3}}?{DRAWN}\b",
        introduces=AGAIN,
    ),
    phrase(
        "a drawn thing at a place of the room, unless something is read in it",
        rf"{NOT_READ}\b{DRAWN}"
        rf" (?:on|above|over|behind|next to|beside|by) (?:a|the|his|her|its) {WORD}{{0,2}}?{SURFACE}\b",
        introduces=AGAIN,
    ),
    phrase("children and artists draw too", r"\b(?:child\w*'?s?|kids?'?|art\w*|chalk|pencil) (?:\w+ )?drawings?\b"),
    phrase(
        "a map of one's own making is reasoning",
        r"\b(?:mental|mentally|cognitive|internal|inner|imagin\w+) (?:\w+ )?(?:map"
        r"|layout|picture|image|sketch|plan)\b",
        r"\b(?:map|layout|picture|plan|sketch) in (?:my|one's|the|your) (?:head|mind|memory)\b",
        introduces=r"\b(?:this|that) (?:map|plan|sketch|picture)\b",
    ),
    phrase(
        "to map is a verb",
        rf"\b(?:i|we|to|let's|can|could|let me|then|(?:i|we)'ll|will|(?:i"
        rf"|we)'d) map(?: out)?\b(?! (?:{SHOWS}|above|is|has)\b)",
        r"\bmaps? (?:out|to|onto)\b",
    ),
    phrase("an open floor plan is a style", r"\bopen[- ](?:concept )?(?:floor[- ]?)?(?:plans?|layouts?)\b"),
    phrase(
        "a plan is also an intention",
        r"\b(?:the |this |that )?plan (?:is|was|will be|would be) (?:simple|as follows|this|clear|:|to)",
        r"\b(?:my|our|a|first|good|next|route) plan\b|\b(?:stick\w*|keep\w*|back) to the plan\b",
        r"(?<!floor )(?<!the )\bplans? (?:to|for|on|ahead|a|the)\b|\bplan of action\b",
    ),
    phrase(
        "pictures in the room, and the first pictures of the video",
        rf"\b(?:images?|pictures?|photos?)\b (?:on|in|at|above|over|from|along) (?:a |the |that )?{WORD}{{0,2}}?"
        rf"(?:{SURFACE}|gallery|album|frame|hallway|hall|row|video|clip|sequence|footage|series)",
        r"\b(?:images?|pictures?|photos?) of (?:the |this )?(?:video|clip|sequence|footage|series|frames?|family)\b",
        r"\b(?:images?|pictures?|photos?) of (?:a|an|his|her|two|three)\b",
        r"\b(?:images?|pictures?|photos?) (?:is |that )?(?:hanging|hangs|hung|leaning|to the (?:left|right))",
    ),
    phrase(
        "who stands high looks down: the camera, or somebody on the stairs",
        rf"\b{STANDPOINT}\b{GAP}\bfrom {ABOVE}(?! (?:the|this) {ROOM})",
        rf"\bfrom {ABOVE}{GAP}\b{STANDPOINT}\b",
    ),
    phrase(
        "the top of something is a place", r"\bfrom (?:the )?top (?:of|to|shelf|bunk|step|stair|floor|landing|down)\b"
    ),
    phrase(
        "what is above a thing",
        rf"\b(?:from )?above (?:the|a|its|my|this|that|their) (?!{ROOM})(?!\w+ (?:is"
        rf"|are|stands?|sits?|appears?|looks?)\b)",
    ),
    phrase(
        "overhead things",
        r"\boverhead (?:\w+ )?(?:lamps?|lights?|lighting|cabinets?|cupboards?"
        r"|projectors?|bins?|shel\w+|shower|fan|rack)\b",
        r"\boverhead (?:\w+ )?(?:storage|compartments?|pipes?|fixtures?|beams?|cables?|heater|locker\w*)\b",
    ),
    phrase(
        "things of mesh",
        r"\bmesh(?:ed)? (?:\w+ )?(?:chairs?|back\w*|bin|basket|screen|door|fabric|curtain|seat"
        "|bag)\b",
    ),
    phrase("machines are loaded from the top", r"\btop[- ]load\w+\b"),
    phrase(
        "to scan with the eyes, and scanners",
        r"\b(?:i|we|to|camera|let me|and|can) scans?\b|\bscan(?:ning|ner"
        "|ned)\b",
    ),
    phrase(
        "an aerial receives television",
        r"\b(?:tv|roof|antenna|radio) aerial\b|\baerial (?:socket|plug|antenna|cable)\b",
    ),
)

LEAKS = (
    phrase(
        "names of the view",
        r"\b(?:bev|birds?'?s?'?[- ]*eyes?(?!\w)|aerial|zenith\w*|orthographic|orthophoto|ortho view)\b",
        r"\btop[- ]?down\b(?! to\b)|\btop[- ]to[- ]bottom (?:view|image|map)\b",
    ),
    phrase(
        "view from high",
        r"\b(?:overhead|drone(?:'s)?|satellite|god(?:'s)?|helicopter)(?:[- ](?:like|eye|style|level|camera))*[- ]"
        rf"(?:(?!in|on|of|at|the|this|and|is|from){WORD}){{0,2}}?{PICTURE}\b|\b(?:plan|ceiling|roof)[- ]{PICTURE}\b",
        r"\b(?:hawk|eagle)(?:'s)?[- ]eyes?\b|\b(?:isometric|planimetric|doll'?s?[- ]?house|cut-?away) (?:\w+ )?"
        rf"{PICTURE}\b",
        r"\b(?:top|vertical|upper)[- ](?:\w+ )?(?:views?|veiw|maps?|perspectives?|plan|projections?)\b",
        rf"\b{READ} (?:the|an?) overhead\b(?=[,.;:]|$| (?:the|i|we|it)\b)|^overhead\s*[:,]|\b(?:the"
        rf"|this) overhead {SHOWS}\b",
    ),
    phrase(
        "plans and technical drawings of a building",
        r"\bfloor[- ]?plans?\b|\bblueprints?\b|\bschematics?\b",
        r"\b(?:ground|house|site|room|layout|scene|apartment|architect\w*'?s?|scaled?|2d|building)[- ]plans?\b",
    ),
    phrase("the map", r"\b(?:mini-?)?maps?\b"),
    phrase(
        "the plan, read from",
        rf"\b{THE} (?:\w+ )?plan(?:'s)? {SHOWS}\b|\b{READ} {THE} (?:\w+ )?plan\b",
        r"\bplan (?:shows|drawing|image|picture)\b|\b(?:the|this) (?:given |provided |supplied )?plan\b",
    ),
    phrase(
        "a layout or diagram that was handed out",
        r"\b(?:given|provided|supplied|attached|accompanying|2[- ]?d|two-dimensional|schematic) "
        r"(?:\w+ )?(?:layout|diagram|drawing|sketch|outline|schema)\b",
        rf"\b(?:layout|diagram|drawing|sketch)(?: that| which)? (?:is |was |were |i was |we were )?{PROVIDED}\b",
    ),
    phrase(
        "a picture of the layout",
        rf"\b(?:layout|arrangement|floor)[- ](?:{PICTURE}|figure)\b",
        r"\b(?:room|scene|flat|apartment|floor|space|spatial"
        r"|house)(?:'s)? (?:diagram|drawing|sketch|schema|graphic)\b",
        rf"\b(?:diagram|drawing|sketch|chart|rendering) of (?:the |this )?(?:\w+ )?{ROOM}\b",
    ),
    phrase(
        "a layout or diagram that is read",
        rf"\b{THE} (?:\w+ )?(?:layout|diagram|sketch|drawing) {DEPICTS}\b",
        r"\b(?:according to|in|on|per|consult\w*|check\w*|trac\w+) (?:the"
        r"|this) (?:\w+ )?(?:layout|diagram|sketch)\b(?! of)",
    ),
    phrase(
        "a picture, or the room, from above",
        rf"\b(?:{PICTURE}|reconstruct\w+|scene|mesh|model)\b[^.;:]{{0,40}}\b(?:from|at|of) {ABOVE}(?! _)",
        rf"\b{ROOM} (?:as )?{WORD}{{0,3}}?from {ABOVE}|\bfrom {ABOVE} {THE} {ROOM}\b",
        rf"\b(?:over|above) the (?:whole|entire) {ROOM}\b|\bpicture of the (?:whole|entire|full) (?:\w+ )?{ROOM}\b",
        rf"\blooking (?:straight |directly )?down (?:at|on|onto|into|upon) the (?:whole|entire|full) {ROOM}\b",
        r"\bas (?:drawn|plotted|rendered|pictured|depicted) (?:in|on) the (?:image|picture)\b",
    ),
    phrase(
        "seen from above, by nobody",
        r"\b(?:seen|viewed?|viewing|looking|look|shown|observed|pictured"
        r"|photographed|taken|drawn|considered|visible) "
        rf"(?:down )?(?:\w+ )?from {ABOVE}(?! _)|^from {ABOVE},",
    ),
    phrase(
        "the picture beside the video",
        r"\b(?:first|initial|static|extra|additional|separate|supplementary|overview|helper"
        r"|auxiliary|accompanying|attached|given|provided"
        r"|supplied|still) (?:\w+ )?(?:image|picture|photo|visual|graphic)\b",
        r"\b(?:image|picture|photo|view|visual) (?:that |which )?(?:i|we) (?:got"
        r"|have|had|was|were|am|are|received|hold)\b",
        rf"\b(?:image|picture|photo|visual|graphic),? (?:that |which )?(?:is |was |has been |were )?{PROVIDED}\b",
        r"\b(?:image|picture|photo),? (?:that |which )?(?:is |was |comes )?"
        r"(?:before|preceding|besides?|along with|next to|alongside) the (?:video|frames)\b",
        r"\b(?:image|picture) (?:at|from) the (?:very )?(?:start|beginning)\b",
    ),
    phrase(
        "the scan and what is made of it",
        r"\b(?:3-?d|three-dimensional)[- ](?:\w+ )?(?:scan|reconstruction"
        r"|model|mesh|render\w*|view|map|data|geometry)\b",
        r"\bpoint[- ]?clouds?\b|\breconstructed (?:\w+ )?(?:scene|room|space|model|view|geometry)\b",
        rf"\bmesh (?:of|picture|image|view|model|reconstruction|shows)\b|\b(?:the|this) reconstruction {SHOWS}\b",
        r"\b(?:the|this) (?:\w+ )?scan\b|\bscan (?:data|shows)\b",
        rf"\brender(?:ed|ing) (?:{PICTURE}|of)\b|\bin the rendering\b",
    ),
    phrase(
        "what only a cut-open room shows",
        r"\b(?:without|no|removed) (?:a |the |its )?(?:ceiling|roof)\b",
        r"\b(?:ceiling|roof) (?:is |was )?(?:removed|cut|taken off)\b",
        r"\bprojection (?:of|onto|on|shows)\b|\bprojected (?:onto|on) the floor\b",
    ),
    phrase(
        "other names of the view",
        r"\bbird(?:'?s)?[- ](?:view|perspective|look)\b|\b(?:sky|air)[- ](?:view|perspective|photo|picture|image)\b"
        r"|\bari[ae]l view\b",
        r"\bin plan\b|\bdrawn to scale\b|\btop image\b|\bover-head (?:view|image|picture)\b|\bgraphic of the\b"
        r"|\b(?:room|floor|scene) scheme\b",
        r"\b(?:image|picture|photo) (?:#|no\.? ?|number )?(?:1|one)\b|\b1st (?:image|picture|photo)\b"
        r"|\bfirst of the (?:\w+ )?(?:images|pictures)\b",
        r"\b(?:layout|diagram|drawing|sketch|plan) (?:that |which )?(?:i|we|you) (?:have|had|got|was|were|gave"
        r"|received)\b",
        r"\b(?:extra|additional|supplementary|accompanying|separate) view\b",
        r"\b(?:based on|judging (?:by|from)|going by|(?:the )?help of|using|looking at) the (?:\w+ )?(?:layout"
        r"|diagram|sketch|drawing)\b(?! of)",
    ),
    phrase(
        "marks of a map",
        r"\b(?:at|near|around|coordinates?|point|cell|position) \(\d+(?:\.\d+)?, ?\d",
        r"\b(?:colou?red|labell?ed|red|blue|brown|green|yellow|gr[ae]y) (?:rectangles?|dots?|boxes|polygons?"
        r"|markers?|outlines?|shapes?) "
        r"(?:mark|label|represent|stand|show|indicate|denote)",
        r"\b(?:icons?|symbols?|markers?) (?:for|of|representing|marking|labell?ed) ",
        r"\bscale bar\b|\b(?:the|its) legend\b(?! on)|\bcompass rose\b|\bnorth is (?:up"
        r"|at the top)\b|\bwalkable (?:area|grid)\b",
    ),
)

DOUBTFUL = re.compile(
    r"\b(?:overview|layout|diagram|drawing|sketch|grid|coordinates?|legend"
    r"|icons?|symbols?|outlined|from above|from the top"
    r"|north\w*|south\w*|(?-i:[Ee]ast\w*|[Ww]est\w*)|plan|scan|projection|contours?"
    r"|drawn|the (?:picture|image))\b|\(\d+(?:\.\d+)?, ?\d",
    re.IGNORECASE,
)
"""Words that may refer to a map; alone they decide nothing."""
