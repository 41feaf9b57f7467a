"""Every Parquet table of the pipeline: schema, meaning, units; atomic write, read, validation, lineage.

A table is declared once, here, as a `Table`: a name, a schema version, what one row is, and a `pa.schema` whose
fields carry their own one-line description. `write` refuses rows that do not fit, writes beside the target and
renames, and stores lineage and digests in the file; `read` refuses a file of another table or version (but see
`Table.added`), and every damaged one.

Conventions. Metres, seconds, degrees and pixels unless a field says otherwise. Matrices are row-major lists. World
coordinates are the *aligned* frame of the scene, +z up. Nested lists instead of Arrow maps: the Hugging Face loader
refuses maps. Bytes depend on rows, schema and lineage only (no time, no path, no thread count).
"""

from rollout3d.tables.fields import IMAGE, TABLES, Table
from rollout3d.tables.media import MediaReader, Origin, frame_origin, frame_path, frame_seconds, read_light
from rollout3d.tables.origin import (
    LINEAGE_KEY,
    Lineage,
    RowError,
    TableError,
    canonical_json,
    digest,
    question_id,
    with_lineage,
)
from rollout3d.tables.reader import (
    SceneReader,
    TableFile,
    content_digest,
    lineage,
    n_rows,
    read,
    read_foreign,
    read_many,
    verify,
)
from rollout3d.tables.results import (
    CLAIM_SHARES,
    CLAIMS,
    METRICS,
    PREDICTIONS,
    PROBES,
    REPORT,
    ROLLOUTS,
    SCORES,
    SETTING_COLUMNS,
    STUDY,
)
from rollout3d.tables.schema import (
    ANNOTATIONS,
    AUDIT,
    AUDIT_RELEASED,
    BIAS,
    COGNITIVE_MAPS,
    FRAMES,
    HARD,
    INVENTORY,
    MAPS,
    MARKS,
    OBJECTS,
    OCR_RL,
    OCR_SFT,
    QUESTIONS,
    QUESTIONS_DROPPED,
    RAW_FILES,
    REGIONS,
    SCANS,
    SCENES,
    SCENES_DROPPED,
    SOURCES,
    VERDICTS,
    VISIBILITY,
)
from rollout3d.tables.writer import Writer, build, features, write
