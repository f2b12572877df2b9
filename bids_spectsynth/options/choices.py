"""The values of options that have a fixed set of them."""

from typing import Literal

AnalysisLevel = Literal["participant", "group"]
Mode = Literal["auto", "preprocess", "train", "apply"]
Preset = Literal["fard2024", "best"]
BackendChoice = Literal["auto", "fsl", "embedded"]
Scaling = Literal["slice", "volume"]
Device = Literal["auto", "cpu", "cuda"]
FslRunner = Literal["local", "docker", "singularity"]
CoregInit = Literal["auto", "header", "identity"]
AdversarialLoss = Literal["bce", "lsgan"]
CohortPrior = Literal["none", "channel", "residual"]
Augmentation = Literal["flip", "affine", "elastic", "intensity"]
Orientations = Literal["axial", "three"]
Switch = Literal["off", "on"]
Precision = Literal["auto", "float32", "bfloat16"]
MemoryFormat = Literal["auto", "contiguous", "channels_last"]
Compile = Literal["auto", "on", "off"]
SliceStorage = Literal["auto", "memory", "disk"]
Crop = Literal["none", "brain"]
SiscomBaseline = Literal["real", "synthetic", "pet", "cohort", "normals"]
SiscomLevel = Literal["mode", "mean", "median", "unchanged", "cerebellum"]
