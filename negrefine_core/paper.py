"""What the paper reports on ImageNet-1K with ViT-B/16, in percent, for showing beside one's own figures."""

AVERAGED_OVER = ("inaturalist", "open_image", "clean", "ninco")  # as result.txt of the published code names them
CONTAMINATED = ("sun", "places", "texture")  # these OOD sets hold images of ID classes
REPORTED = {  # method: (AUROC, FPR@95), the mean over AVERAGED_OVER
    "MCM": (86.04, 52.59),
    "NegLabel": (89.33, 35.11),
    "CSP": (89.97, 34.47),
    "Filter only": (90.95, 31.88),
    "Multi-matching only": (91.35, 31.70),
    "NegRefine": (91.79, 30.12),
}
