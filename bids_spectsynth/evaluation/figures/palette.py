"""The colours of all figures and pictures; those of the pages around them are in the reports' style sheet."""

#: Okabe and Ito's palette, told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"
GREY = "#777777"
#: Lines of several methods or models, in the order in which they are used.
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#7F7F7F")
#: The line of identity, and the grid behind lines, on white.
IDENTITY, GRID = "#555555", "#e3e7eb"
#: Every band of rows that belong together.
BAND = "#f0f2f4"

#: Colour maps (matplotlib's names): SPECT and PET, a difference around 0, MR images.
UPTAKE, DIFFERENCE, GREY_SCALE = "inferno", "RdBu_r", "gray"

#: Outlines on dark images: of what is fixed (the T1w), of what was moved, of the template.
FIXED, MOVING, TEMPLATE = "#35d0ff", "#ff9d2e", "#ff6ad5"
#: Text and frames on black: names of sides, positions, edges of colour bars.
SIDE, POSITION, EDGE = "#ffd24d", "#c8d0d8", "#808890"
#: On black too: a line that warns, and lines that lead to a point.
ALARM, CROSS = "#ff7a6b", "#7dff9a"
