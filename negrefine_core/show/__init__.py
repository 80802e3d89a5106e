"""What the app and the notebooks show: charts, tables, cards and thumbnails.

from negrefine_core import show
show.gallery(images, "negrefine")  # HTML, whose pictures stand in the page itself

from negrefine_core.show import charts
charts.roc(images, "negrefine")    # a plotly figure
"""

from .tables import Html as Html
from .tables import detector_card as detector_card
from .tables import differences as differences
from .tables import effect as effect
from .tables import error_groups as error_groups
from .tables import gallery as gallery
from .tables import pictures as pictures
from .tables import scored as scored
from .tables import table as table
