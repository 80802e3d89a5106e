"""Background jobs: steps of a run in a process of their own, which outlives the app; a job is a folder of plain files.

    spec = Spec(title="Score pets", run="demo", steps=(Score(image_set="pets", folder="/photos/pets"), Evaluate()))
    job = jobs.start(spec)    # also start(spec, api_key="...") for a judge that needs one
    job.state                 # "queued", "running", "done", "cancelled", "failed" or "interrupted" (its process died)
    job.progress              # step, done, total, rate, eta, messages, error: see Progress
    job.cancel()              # everything finished is kept
    job.resume()              # the same steps again, which go on where they stopped
    jobs.all_jobs()           # newest first; jobs.active() are the queued and running ones; jobs.find(ID)

The steps are `Mine`, `Refine`, `Try`, `Score`, `Evaluate` and `DrawMap`; the run must be there already (`Run.create`).
`Download` needs no run. One job at a time runs on a device, or downloads; the others wait in their order. Under
`data/jobs/ID/`:
`job.json` (the spec), `progress.json` (written by the worker alone), `lock` (held by the worker for as long as it
lives, with its process id), `cancelled` (a person ended it), `dismissed` (a
person wants to see no more of it) and `log`. A judge's key travels in the worker's
environment and is written nowhere.
"""

from .plan import by_model as by_model
from .queue import ACTIVE as ACTIVE
from .queue import KEY as KEY
from .queue import Job as Job
from .queue import active as active
from .queue import all_jobs as all_jobs
from .queue import find as find
from .queue import measured_rates as measured_rates
from .queue import start as start
from .spec import Download as Download
from .spec import DrawMap as DrawMap
from .spec import Evaluate as Evaluate
from .spec import Mine as Mine
from .spec import Progress as Progress
from .spec import Refine as Refine
from .spec import Score as Score
from .spec import Spec as Spec
from .spec import Speed as Speed
from .spec import State as State
from .spec import Try as Try
