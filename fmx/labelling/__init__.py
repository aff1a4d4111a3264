"""What the pixels are: frames and boxes in, class ids out.

`extractor.FaceMaskExtractor`, which `fmx` hands out, makes masks of any frames: windows of them go
to `fmx.finding` for boxes and to `faces` for the labels of each face (`predictor` runs a network,
`classes` turns logits into ids, `parts` refines eyes and mouth), `bridging` makes up for frames in
which a face is lost, `skipping` says which frames need no look, `steadying` takes the flicker out,
and `pieces` has the masks; `frame_masks` puts the faces of a frame together; `openings` measures
them and `blinks` tells when an eye blinks.
The room imports `fmx.finding`, `fmx.models`, `fmx.weights`, and `cutting`, `levels` and
`transforms` of `fmx.data`; whoever evaluates or writes files imports it.
"""
