"""Makes the archive of a bundled run anew: python data/published/pack.py imagenet-qwen

The run itself is made before: `demo` by `negrefine run`, `imagenet-qwen` by `negrefine import-reference FOLDER --name
imagenet-qwen`, where FOLDER is the published code's output/imagenet/seed_0.
"""

import sys

from negrefine_core.judges.doubts import keep_doubts
from negrefine_core.lexicon import WordNet
from negrefine_core.paths import BUNDLED
from negrefine_core.run_files.bundled import BUNDLED_RUNS, pack
from negrefine_core.runs import Run


def main(name: str) -> None:
    run, archive = Run.open(name), BUNDLED / BUNDLED_RUNS[name].archive
    keep_doubts(run, WordNet())
    archive.parent.mkdir(exist_ok=True)
    pack(run.folder, archive)
    print(f"{archive}: {archive.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
