#!/usr/bin/env bash
# From DICOM to DICOM, with two simulated patients: import, SISCOM, export.
#   bash dicom.sh FOLDER
# FOLDER is made; a viewer that shows FOLDER/patients-dicom and FOLDER/out/sub-*/dicom together has all series of a
# patient in one study, and those of the results on the T1w.
set -euo pipefail
folder=${1:?usage: dicom.sh FOLDER}
mkdir -p "$folder"
cd "$folder"

bids_spectsynth-phantom patients -n 2 --seed 1 --dicom
bids_spectsynth-import patients-dicom/sub-01 bids --participant-label 01
bids_spectsynth-import patients-dicom/sub-02 bids --participant-label 02
bids_spectsynth bids out participant --mode preprocess --voxel-size 4 --export dicom --dicom-donor patients-dicom
