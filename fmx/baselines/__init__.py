"""What the paper compares with: the 68-landmark tracker, temporal smoothing, and a dense CRF.

`landmark_tracker.LandmarkTracker` makes masks of frames as `FaceMaskExtractor` does, by dlib's
landmarks (`landmarks`, an optional extra); `smoothing.smooth` smooths probabilities over time;
`dense_crf.DenseCRF` has them agree with a frame's colours, by a `permutohedral.Lattice`. The
room imports `fmx.finding` and `fmx.labelling`; `fmx.evaluation` and `fmx.extraction` import it.
"""
