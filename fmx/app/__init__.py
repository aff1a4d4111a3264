"""The page: masks of a video, a picture or a webcam in a browser.

`python run.py --config=configs/app.py` opens it. Starlette and uvicorn (extra `app`) serve one page
without anything of elsewhere (`page/`); the work is `fmx.extraction`'s, and before a webcam
`fmx.labelling`'s. Needs also `fmx.example`.
"""
