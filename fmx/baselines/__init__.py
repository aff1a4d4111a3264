"""What the paper compares with: the 68-landmark tracker and temporal smoothing.

`landmark_tracker.LandmarkTracker` makes masks of frames as `FaceMaskExtractor` does, by dlib's
landmarks (`landmarks`, an optional extra); `smoothing.smooth` smooths probabilities over time. The
room imports `fmx.finding` and `fmx.labelling`; `fmx.evaluation` and `fmx.extraction` import it.
"""
