"""Each default once, the hyperparameters with the paper's value; free of torch, so that reading a run needs none."""

import os

FRACTION = 0.15  # paper: the 15% least similar nouns, and the 15% least similar adjectives
N_GROUPS = 100  # paper: NegLabel's grouping strategy
TOP_K = 5  # paper: top 5 ID labels x top 5 negatives
ALPHA = 2.0  # paper: weight of the multi-matching score
MCM_TEMPERATURE = 1.0  # the published code, on the raw cosine; CLIP's own scale is 0.01
SEEDS = 10  # paper: runs of an experiment, each with its own adjective phrases

# These change how long something takes, and no result.
WORKERS = os.cpu_count() or 1  # threads that decode images: more than cores take turns at Python's lock, which costs
READERS = 16  # threads that read files of a storage elsewhere: most of them wait for its answers
IN_FLIGHT = 64  # labels that a language model judges at once
IMAGE_BATCH = 64  # that a model embeds at once
